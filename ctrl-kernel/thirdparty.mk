# SPDX-License-Identifier: BSD-2-Clause
# Third-party sources of the control kernel (not of the vmm), unpacked by the dependency step in $(DEPS_SRC), and what
# they and our own files need to compile. The Makefile includes this; nothing here is edited in place.
#
#   cJSON    JSON parser (writing is our own, api/out.c)
#   llhttp   HTTP/1.1 request parser, as carried by nghttp2
#   mbedTLS  SHA-256; check of ECDSA signatures over P-256

CTRL_THIRD_SRCS := \
	$(DEPS_SRC)/cjson/cJSON.c \
	$(DEPS_SRC)/nghttp2/third-party/llhttp/src/api.c \
	$(DEPS_SRC)/nghttp2/third-party/llhttp/src/http.c \
	$(DEPS_SRC)/nghttp2/third-party/llhttp/src/llhttp.c \
	$(addprefix $(DEPS_SRC)/mbedtls/library/,sha256.c ecdsa.c ecp.c ecp_curves.c bignum.c bignum_core.c constant_time.c) \
	$(DEPS_SRC)/mbedtls/library/platform_util.c

CTRL_THIRD_CPPFLAGS := \
	-isystem $(DEPS_SRC)/cjson \
	-isystem $(DEPS_SRC)/nghttp2/third-party/llhttp/include \
	-isystem $(DEPS_SRC)/mbedtls/include \
	-DMBEDTLS_CONFIG_FILE='"ctrl-kernel/mbedtls_config.h"' \
	-DCJSON_NESTING_LIMIT=16
