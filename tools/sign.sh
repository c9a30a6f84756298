#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sign.sh KEY PROGRAM OUT VERSION BUILD [ABI STORE_MIN STORE_MAX VMM]: makes the file of an upgrade, the program with the signed trailer of
# ctrl-kernel/ops/upgrade_file.h behind it. KEY: a private key on P-256 (PEM). The last four are those of these sources unless given.
set -euo pipefail

[ $# -ge 5 ] || { echo "usage: sign.sh KEY PROGRAM OUT VERSION BUILD [ABI STORE_MIN STORE_MAX VMM]" >&2; exit 2; }
key=$1 program=$2 out=$3 version=$4 build=$5
root=$(dirname "$0")/..

defined() {
	sed -n "s/^#define $1 \([0-9]*\).*/\1/p" "$root/$2"
}
abi=${6:-$(defined HV_ABI_VERSION hv/abi/hv_abi.h)}
store_min=${7:-$(defined KEEP_OLDEST ctrl-kernel/ops/keep.h)}
store_max=${8:-$(defined KEEP_VERSION ctrl-kernel/ops/keep.h)}
vmm=${9:-$(defined VMM_CONFIG_VERSION ctrl-kernel/vmm/vmm_abi.h)}

# number BYTES VALUE: little-endian
number() {
	local i v=$2
	for ((i = 0; i < $1; i++)); do
		printf "\\x$(printf %02x $((v >> 8 * i & 255)))"
	done
}

# text BYTES TEXT: with zeroes behind it
text() {
	[ ${#2} -ge 1 ] && [ ${#2} -lt "$1" ] || { echo "sign.sh: \"$2\" must have 1 to $(($1 - 1)) characters" >&2; exit 1; }
	printf %s "$2"
	head -c $(($1 - ${#2})) /dev/zero
}

# hex digits on the standard input -> bytes
bytes() {
	local hex
	read -r hex
	printf "$(sed 's/../\\x&/g' <<<"$hex")"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl pkey -in "$key" -pubout -outform DER >"$work/public"
openssl pkey -in "$key" -noout -text 2>/dev/null | grep -q 'ASN1 OID: prime256v1' || { echo "sign.sh: $key is no key on P-256" >&2; exit 1; }
{
	printf SOCLEUPG
	number 4 1
	number 4 "$abi"
	number 4 "$store_min"
	number 4 "$store_max"
	number 4 "$vmm"
	number 4 0
	number 8 "$(stat -c %s "$program")"
	sha256sum <"$program" | cut -d' ' -f1 | bytes
	text 32 "$version"
	text 48 "$build"
	tail -c 65 "$work/public" | sha256sum | cut -c1-16 | bytes
} >"$work/trailer"
# DER has r and s as numbers; the trailer has 32 bytes of each.
openssl dgst -sha256 -sign "$key" "$work/trailer" | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' >"$work/numbers"
while read -r n; do
	printf '%64s\n' "$n" | tr ' ' 0 | bytes
done <"$work/numbers" >"$work/signature"
[ "$(stat -c %s "$work/signature")" = 64 ] || { echo "sign.sh: openssl gave no signature" >&2; exit 1; }
cat "$program" "$work/trailer" "$work/signature" >"$work/out"
mv "$work/out" "$out"
