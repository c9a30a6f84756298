/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device registers and ordering against a device that reads and writes memory. x86 keeps stores in order and loads
 * in order (SDM 3A 8.2), and DMA is coherent, so against a device only the compiler must be held; a load after a store
 * needs the fence.
 */
#ifndef DRIVERS_BITS_H
#define DRIVERS_BITS_H

#include <stdint.h>

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
	return *(const volatile uint8_t *)at;
}
static inline uint16_t mmio_read16(const volatile void *at)
{
	return *(const volatile uint16_t *)at;
}
static inline uint32_t mmio_read32(const volatile void *at)
{
	return *(const volatile uint32_t *)at;
}
static inline void mmio_write8(volatile void *at, uint8_t v)
{
	*(volatile uint8_t *)at = v;
}
static inline void mmio_write16(volatile void *at, uint16_t v)
{
	*(volatile uint16_t *)at = v;
}
static inline void mmio_write32(volatile void *at, uint32_t v)
{
	*(volatile uint32_t *)at = v;
}

#endif
