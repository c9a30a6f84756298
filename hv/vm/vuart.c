/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 16550A at 0x3f8, IRQ 4: the guest's console. Output goes into the console object's ring at once, so the
 * transmitter is always empty; the owner is told by a timer, not for each byte. Input waits in a queue that stands
 * behind the receive FIFO; what does not fit is not taken, so nothing is lost but to a guest's own overrun.
 *
 * Guests print during boot: the path of a byte is vuart_write() -> transmit() -> ring_put(), a few dozen instructions.
 */
#include "hv/lib/string.h"
#include "hv/vm/vdev.h"

enum uart_reg {
	UART_DATA = 0,
	UART_IER = 1,
	UART_IIR = 2, /* write: FCR */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
};

#define IER_RX 0x01u
#define IER_THRE 0x02u
#define IER_LINE 0x04u
#define IIR_NONE 0x01u
#define IIR_THRE 0x02u
#define IIR_RX 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO 0xc0u
#define FCR_ENABLE 0x01u
#define LCR_DLAB 0x80u
#define MCR_LOOP 0x10u
#define LSR_DATA 0x01u
#define LSR_OVERRUN 0x02u
#define LSR_EMPTY 0x60u     /* THRE and TEMT: always */
#define MSR_CONNECTED 0xb0u /* DCD, DSR, CTS */

#define UART_GSI 4u
#define NOTIFY_NS 4000000ull /* the owner hears of output at most this late */
#define RING_PAGE_MASK 4095u

/* ---- output ---- */
static void notify(struct timer *t)
{
	struct vuart *u = CONTAINER_OF(t, struct vuart, timer);
	struct vm *vm = u->vm;

	spin_lock(&u->lock); /* bytes put before this are visible to whom we tell */
	u->notify = 0;
	spin_unlock(&u->lock);
	spin_lock(&vm->lock);
	if (vm->notify.console)
		vm->notify.console(vm->notify.ctx);
	spin_unlock(&vm->lock);
}

static void ring_put(struct vuart *u, uint8_t byte)
{
	unsigned at = (unsigned)u->head % HV_CONSOLE_RING;

	if (UNLIKELY(!(at & RING_PAGE_MASK) || !u->page)) {
		if (u->console)
			u->page = mem_hv_page(u->vm->slots[HV_SLOT_CONSOLE], 1 + at / HV_PAGE_SIZE);
		if (!u->page)
			return;
	}
	u->page[at & RING_PAGE_MASK] = byte;
	u->head++;
	/* Pairs with the reader's load-acquire of head. */
	__atomic_store_n(&u->console->head, u->head, __ATOMIC_RELEASE);
	if (UNLIKELY(!u->notify)) {
		u->notify = 1;
		timer_arm(&u->timer, time_now() + NOTIFY_NS);
	}
}

static void irq_update(struct vuart *u)
{
	bool line = ((u->ier & IER_RX) && u->in_len) || ((u->ier & IER_THRE) && u->thre) ||
		    ((u->ier & IER_LINE) && u->overrun);

	/* OUT2 does not gate it: common emulators do not either, and small guests rely on that. */
	if (line == u->line)
		return;
	u->line = line;
	vdev_line(u->vm, UART_GSI, line);
}

/* ---- input ---- */
static void queue_put(struct vuart *u, uint8_t byte)
{
	u->in[(u->in_first + u->in_len++) % VUART_QUEUE] = byte;
}

static uint8_t receive(struct vuart *u)
{
	uint8_t byte = 0;

	if (u->in_len) {
		byte = u->in[u->in_first];
		u->in_first = (uint16_t)((u->in_first + 1) % VUART_QUEUE);
		u->in_len--;
	}
	irq_update(u);
	return byte;
}

unsigned vm_console_in(struct vm *vm, const uint8_t *bytes, unsigned len)
{
	struct vuart *u = vm->vuart;
	unsigned taken = 0;

	spin_lock(&u->lock);
	while (taken < len && u->in_len < VUART_QUEUE)
		queue_put(u, bytes[taken++]);
	irq_update(u);
	spin_unlock(&u->lock);
	return taken;
}

/* ---- registers ---- */
static void transmit(struct vuart *u, uint8_t byte)
{
	if (LIKELY(!(u->mcr & MCR_LOOP))) {
		ring_put(u, byte);
	} else if (u->in_len < VUART_QUEUE) {
		queue_put(u, byte);
	} else {
		u->overrun = true;
		u->dropped++;
	}
	u->thre = true;
	if (u->ier)
		irq_update(u);
}

static void ier_write(struct vuart *u, uint8_t value)
{
	if ((value & IER_THRE) && !(u->ier & IER_THRE))
		u->thre = true; /* the transmitter is empty: enabling asks at once */
	u->ier = value & 0x0f;
	irq_update(u);
}

static uint8_t iir_read(struct vuart *u)
{
	static const uint8_t triggers[4] = {1, 4, 8, 14};
	uint8_t id = IIR_NONE;

	if ((u->ier & IER_LINE) && u->overrun) {
		id = IIR_LINE;
	} else if ((u->ier & IER_RX) && u->in_len) {
		id = u->in_len < triggers[u->fcr >> 6] && (u->fcr & FCR_ENABLE) ? IIR_TIMEOUT
										: IIR_RX;
	} else if ((u->ier & IER_THRE) && u->thre) {
		id = IIR_THRE;
		u->thre = false; /* reading its identification clears it */
		irq_update(u);
	}
	return (uint8_t)(id | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t lsr_read(struct vuart *u)
{
	uint8_t lsr = (uint8_t)(LSR_EMPTY | (u->in_len ? LSR_DATA : 0));

	if (UNLIKELY(u->overrun)) {
		lsr |= LSR_OVERRUN;
		u->overrun = false;
		irq_update(u);
	}
	return lsr;
}

/* In loopback the outputs of MCR are the inputs of MSR: DTR-DSR, RTS-CTS, OUT1-RI, OUT2-DCD. */
static uint8_t msr_read(const struct vuart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (uint8_t)((u->mcr & 1) << 5 | (u->mcr & 2) << 3 | (u->mcr & 0xc) << 4);
}

static uint8_t reg_read(struct vuart *u, unsigned reg)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case UART_DATA:
		return dlab ? u->dll : receive(u);
	case UART_IER:
		return dlab ? u->dlm : u->ier;
	case UART_IIR:
		return iir_read(u);
	case UART_LCR:
		return u->lcr;
	case UART_MCR:
		return u->mcr;
	case UART_LSR:
		return lsr_read(u);
	case UART_MSR:
		return msr_read(u);
	default:
		return u->scr;
	}
}

static void reg_write(struct vuart *u, unsigned reg, uint8_t value)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case UART_DATA: /* DLAB is set: vuart_write() has seen to the other case */
		u->dll = value;
		break;
	case UART_IER:
		if (dlab)
			u->dlm = value;
		else
			ier_write(u, value);
		break;
	case UART_IIR: /* FCR; clearing the receive FIFO leaves what waits behind it, and that is everything */
		u->fcr = value & (IIR_FIFO | FCR_ENABLE);
		break;
	case UART_LCR:
		u->lcr = value;
		break;
	case UART_MCR:
		u->mcr = value & 0x1f;
		break;
	case UART_SCR:
		u->scr = value;
		break;
	default: /* LSR, MSR: factory test only */
		break;
	}
}

static __attribute__((noinline)) uint8_t locked_read(struct vuart *u, unsigned reg)
{
	uint8_t value;

	spin_lock(&u->lock);
	value = reg_read(u, reg);
	spin_unlock(&u->lock);
	return value;
}

uint8_t vuart_read(struct vm *vm, unsigned reg)
{
	struct vuart *u = vm->vuart;

	/* What a printing guest asks before each byte; needs no lock as long as it changes nothing. */
	if (reg == UART_LSR && LIKELY(!__atomic_load_n(&u->overrun, __ATOMIC_RELAXED)))
		return (uint8_t)(LSR_EMPTY |
				 (__atomic_load_n(&u->in_len, __ATOMIC_RELAXED) ? LSR_DATA : 0));
	return locked_read(u, reg);
}

void vuart_write(struct vm *vm, unsigned reg, uint8_t value)
{
	struct vuart *u = vm->vuart;

	spin_lock(&u->lock);
	if (LIKELY(reg == UART_DATA && !(u->lcr & LCR_DLAB)))
		transmit(u, value);
	else
		reg_write(u, reg, value);
	spin_unlock(&u->lock);
}

/* ---- life ---- */
void vuart_init(struct vm *vm)
{
	struct vuart *u = vm->vuart;
	struct mem *console = vm->slots[HV_SLOT_CONSOLE];

	u->vm = vm;
	timer_init(&u->timer, notify);
	u->console = console ? mem_hv_page(console, 0) : NULL;
	if (u->console) /* the ring outlives VMs; whatever stands there is a position */
		u->head = __atomic_load_n(&u->console->head, __ATOMIC_ACQUIRE);
}

void vuart_destroy(struct vm *vm)
{
	timer_cancel(&vm->vuart->timer);
}

/* ---- state ---- */
void vuart_save(struct vm *vm, struct hv_state_machine *out)
{
	struct vuart *u = vm->vuart;

	spin_lock(&u->lock);
	out->uart_ier = u->ier;
	out->uart_fcr = u->fcr;
	out->uart_lcr = u->lcr;
	out->uart_mcr = u->mcr;
	out->uart_scr = u->scr;
	out->uart_dll = u->dll;
	out->uart_dlm = u->dlm;
	out->uart_thre = u->thre;
	out->uart_overrun = u->overrun;
	out->uart_line = u->line;
	out->uart_in_len = u->in_len;
	for (unsigned i = 0; i < u->in_len; i++)
		out->uart_in[i] = u->in[(u->in_first + i) % VUART_QUEUE];
	spin_unlock(&u->lock);
}

int vuart_load(struct vm *vm, const struct hv_state_machine *in)
{
	struct vuart *u = vm->vuart;

	if (in->uart_in_len > VUART_QUEUE)
		return -HVE_INVAL;
	spin_lock(&u->lock);
	u->ier = in->uart_ier;
	u->fcr = in->uart_fcr;
	u->lcr = in->uart_lcr;
	u->mcr = in->uart_mcr;
	u->scr = in->uart_scr;
	u->dll = in->uart_dll;
	u->dlm = in->uart_dlm;
	u->thre = in->uart_thre != 0;
	u->overrun = in->uart_overrun != 0;
	u->line = in->uart_line != 0;
	u->in_first = 0;
	u->in_len = in->uart_in_len;
	for (unsigned i = 0; i < u->in_len; i++)
		u->in[i] = in->uart_in[i];
	spin_unlock(&u->lock);
	return 0;
}

void vuart_reset(struct vm *vm)
{
	struct vuart *u = vm->vuart;

	spin_lock(&u->lock);
	u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
	u->dll = 12; /* 9600 baud */
	u->dlm = 0;
	u->thre = u->overrun = false;
	u->dropped += u->in_len;
	u->in_first = u->in_len = 0;
	irq_update(u);
	spin_unlock(&u->lock);
}
