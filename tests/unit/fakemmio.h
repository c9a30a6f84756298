/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of drivers/bits.h (gcc -include): register accesses are calls, so that a test can be the device. */
#ifndef TESTS_FAKEMMIO_H
#define TESTS_FAKEMMIO_H
#define DRIVERS_BITS_H

#include <stdint.h>

uint32_t fake_mmio_read(const volatile void *at, unsigned width);
void fake_mmio_write(volatile void *at, unsigned width, uint32_t v);

static inline void dma_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}
static inline void dma_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline uint8_t mmio_read8(const volatile void *at)
{
	return (uint8_t)fake_mmio_read(at, 1);
}
static inline uint16_t mmio_read16(const volatile void *at)
{
	return (uint16_t)fake_mmio_read(at, 2);
}
static inline uint32_t mmio_read32(const volatile void *at)
{
	return fake_mmio_read(at, 4);
}
static inline void mmio_write8(volatile void *at, uint8_t v)
{
	fake_mmio_write(at, 1, v);
}
static inline void mmio_write16(volatile void *at, uint16_t v)
{
	fake_mmio_write(at, 2, v);
}
static inline void mmio_write32(volatile void *at, uint32_t v)
{
	fake_mmio_write(at, 4, v);
}

#endif
