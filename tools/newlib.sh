#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# newlib.sh SRC OUT: builds newlib for the ring-3 programs with the machine's own gcc into OUT (x86_64-elf/include, x86_64-elf/lib/libc.a).
# Single-threaded, no red zone, small code. Prints progress: it takes about a minute.
set -euo pipefail

src=$(realpath "$1")
out=$(realpath -m "$2")
obj=$out.obj
rm -rf "$obj" "$out"
mkdir -p "$obj"
cd "$obj"
export CC_FOR_TARGET=gcc AS_FOR_TARGET=as AR_FOR_TARGET=ar RANLIB_FOR_TARGET=ranlib NM_FOR_TARGET=nm LD_FOR_TARGET=ld
export OBJDUMP_FOR_TARGET=objdump OBJCOPY_FOR_TARGET=objcopy STRIP_FOR_TARGET=strip READELF_FOR_TARGET=readelf
export CFLAGS_FOR_TARGET="-m64 -Os -g0 -ffreestanding -fno-pic -fno-pie -mno-red-zone -mcmodel=small -fno-stack-protector \
-fcf-protection=none -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -Wa,--noexecstack \
-ffile-prefix-map=$src=newlib -ffile-prefix-map=$obj=newlib"
log=$out.log
fail() {
	echo "newlib: the build failed; the end of $log:" >&2
	tail -n 30 "$log" >&2
	exit 1
}
"$src/configure" --target=x86_64-elf --prefix="$out.inst" --disable-multilib --disable-libgloss --disable-nls \
	--disable-werror --disable-newlib-supplied-syscalls --disable-newlib-multithread --enable-newlib-io-long-long \
	--enable-newlib-io-c99-formats --enable-newlib-long-time_t --enable-newlib-global-atexit >"$log" 2>&1 || fail
# The compile lines go to the log; every hundredth moves the display.
make -j"$(nproc)" all-target-newlib MAKEINFO=true 2>&1 | tee -a "$log" |
	awk '/-c .*\.[cS]/ {n++; if (n % 100 == 0) {printf "\r  newlib: %d files compiled", n; fflush()}} END {print ""}' || fail
make install-target-newlib MAKEINFO=true >>"$log" 2>&1 || fail
mv "$out.inst" "$out"
rm -rf "$obj"
