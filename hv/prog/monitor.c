/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor: when the control kernel has died too often, whoever stands at the serial console can still see the VMs,
 * pause them, read why it died, and start it again or switch the machine off.
 *
 * It is an entity of the scheduler, so its commands run where hypercalls do, not in an interrupt: they take hv_lock and
 * wait for vCPUs as those do. A timer polls the serial port and hands over bytes:
 *
 *   timer, every 20 ms: UART -> input --unblock--> entity: line editor -> command -> its output, step by step
 *
 * Output that is long comes in steps, each only when the console's queue has room, so nobody waits for a slow line with
 * interrupts off: between them the entity blocks until the timer fires again.
 */
#include "hv/prog/monitor.h"
#include "hv/prog/crash.h"
#include "hv/prog/monitor_line.h"

#include "hv/lib/log.h"
#include "hv/lib/string.h"

#define POLL_NS 20000000ull
#define INPUT_SIZE 256u /* a power of two; 20 ms at 115200 baud are 230 bytes */
#define STEP_ROOM 4096u /* no step writes more */
#define MONITOR_WEIGHT 1000u
#define MONITOR_CREDIT_NS 6000000u
#define OUT_MAX 256u

static struct spinlock lock; /* of active and the arming of poll_timer */
static bool active;          /* [L:lock] */
static bool made;            /* [L:lock] ent and poll_timer are */
static struct timer poll_timer;
static struct sched_ent ent;

static char input[INPUT_SIZE];
static uint32_t input_head; /* [a] poll() writes */
static uint32_t input_tail; /* [a] the entity writes */
static bool greet;          /* [a] the entity is to say who it is */
static bool listening;      /* poll()'s while it runs, else monitor_start()'s */

/* The entity's own. */
static bool greeted;
static struct line line;
static bool (*step)(void); /* of the command under way; false: it is done. NULL: none */
static struct hv_crash crash;
static uint64_t log_at, log_to;
static uint32_t list_after;
static unsigned dump_at;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	char text[OUT_MAX];
	va_list args;
	int n;

	va_start(args, format);
	n = hv_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	uart_write(text, MIN((size_t)n, sizeof(text) - 1));
}

static void prompt(void)
{
	line_clear(&line);
	say("socle> ");
}

/* ---- VMs ---- */

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[HV_VM_STOPPED] = "stopped",
		[HV_VM_RUNNING] = "running",
		[HV_VM_PAUSED] = "paused",
		[HV_VM_CRASHED] = "crashed",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

static void info_of(struct vm *vm, struct hv_vm_info *info)
{
	spin_lock(&hv_lock);
	vm_info(vm, info);
	spin_unlock(&hv_lock);
}

static bool list_step(void)
{
	struct vm *vm = vm_next(list_after);
	struct hv_vm_info info;

	if (!vm) {
		if (list_after == 0)
			say("There are no VMs.\n");
		return false;
	}
	if (list_after == 0)
		say("  id  state    vcpus  memory     name\n");
	list_after = vm->id;
	info_of(vm, &info);
	say("%4u  %-8s %5u  %6llu MiB %s\n", info.id, state_name(info.state), info.vcpus,
	    (unsigned long long)(info.ram_pages >> (20 - PAGE_SHIFT)), vm->name);
	object_put(&vm->obj);
	return true;
}

/* Counted; NULL: there is none, which is said. */
static struct vm *find_vm(uint32_t id)
{
	struct vm *vm = id ? vm_next(id - 1) : NULL;

	if (vm && vm->id == id)
		return vm;
	if (vm)
		object_put(&vm->obj);
	say("There is no VM %u; list shows those there are.\n", id);
	return NULL;
}

static void control(uint32_t id, enum hv_vm_control what)
{
	struct vm *vm = find_vm(id);
	struct hv_vm_info info;
	int err;

	if (!vm)
		return;
	spin_lock(&hv_lock);
	err = vm_control(vm, what, 0);
	vm_info(vm, &info);
	spin_unlock(&hv_lock);
	say("VM %u (%s) is %s%s.\n", id, vm->name, err ? "not changed: it is " : "",
	    state_name(info.state));
	object_put(&vm->obj);
}

/* ---- log and crash record ---- */

static bool log_step(void)
{
	char text[OUT_MAX];
	size_t n = log_at < log_to ? log_read(&log_at, text, sizeof(text)) : 0;

	uart_write(text, n);
	return n != 0;
}

static void log_begin(void)
{
	log_to = log_end();
	log_at = log_to > LOG_RING ? log_to - LOG_RING : 0;
	step = log_step;
}

static void say_bytes(const char *what, uint64_t at, const uint8_t *bytes, uint32_t n)
{
	if (n == 0)
		say("%s: nothing is mapped at %llx.\n", what, (unsigned long long)at);
	else
		say("%s:", what);
	for (uint32_t i = 0; i < n; i++)
		say("%s%02x", i % 32 == 0 ? "\n  " : i % 8 == 0 ? " " : "", bytes[i]);
	if (n != 0)
		say("\n");
}

static void say_death(void)
{
	say("Death %llu, %llu.%03llu s after the start: %s (program %u)",
	    (unsigned long long)crash.number, (unsigned long long)(crash.time_ns / 1000000000),
	    (unsigned long long)(crash.time_ns / 1000000 % 1000),
	    crash.image == HV_IMAGE_CTRL ? "the control kernel" : "the device program", crash.prog);
	if (crash.image != HV_IMAGE_CTRL)
		say(" of VM %u (%s)", crash.vm, crash.vm_name);
	say(" ended by %s, code %llx, address %llx.\n", crash_cause(crash.cause),
	    (unsigned long long)crash.code, (unsigned long long)crash.cr2);
	if (crash.text[0])
		say("Its last words: %s\n", crash.text);
}

static void say_registers(void)
{
	static const struct {
		const char *name;
		size_t offset;
	} registers[] = {
#define REGISTER(r) {#r, offsetof(struct hv_prog_regs, r)}
		REGISTER(rip), REGISTER(rsp), REGISTER(rflags), REGISTER(rax), REGISTER(rbx),
		REGISTER(rcx), REGISTER(rdx), REGISTER(rsi),    REGISTER(rdi), REGISTER(rbp),
		REGISTER(r8),  REGISTER(r9),  REGISTER(r10),    REGISTER(r11), REGISTER(r12),
		REGISTER(r13), REGISTER(r14), REGISTER(r15),
#undef REGISTER
	};

	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&crash.regs + registers[i].offset, sizeof(value));
		say("%-6s %016llx%s", registers[i].name, (unsigned long long)value,
		    i % 3 == 2 ? "\n" : "  ");
	}
}

static bool dump_step(void)
{
	switch (dump_at++) {
	case 0:
		say_death();
		return true;
	case 1:
		say_registers();
		return true;
	case 2:
		say_bytes("Code at rip", crash.regs.rip, crash.at_rip, crash.code_bytes);
		return true;
	case 3:
		say_bytes("Stack at rsp", crash.regs.rsp, crash.at_rsp, crash.stack_bytes);
		return true;
	case 4:
		say("The log before it:\n");
		return true;
	default:
		uart_write(crash.log, strlen(crash.log));
		return false;
	}
}

static void dump_begin(void)
{
	if (crash_read(0, &crash) != 0) {
		say("Nothing has died.\n");
		return;
	}
	dump_at = 0;
	step = dump_step;
}

/* ---- the machine ---- */

static void stop(void)
{
	greeted = false;
	spin_lock(&lock);
	active = false;
	spin_unlock(&lock);
	timer_cancel(&poll_timer);
}

static void restart(void)
{
	int err;

	/* First: the new one may end before this returns, and begin the monitor again. */
	stop();
	err = ctrl_restart();
	if (err == 0) {
		say("The control kernel is started. The monitor ends here.\n");
		return;
	}
	say("The control kernel cannot be started (error %d).\n", -err);
	monitor_start();
}

static void power_off(void)
{
	plat_power_off();
	say("This machine has no way to switch itself off.\n");
}

/* ---- commands ---- */

static void help(void)
{
	say("help       shows this\n"
	    "list       shows the VMs\n"
	    "pause N    stops VM N until it is resumed\n"
	    "resume N   lets VM N go on\n"
	    "log        shows the last 16 KiB of the host log\n");
	say("dump       shows what is known of the last program that died\n"
	    "restart    starts the control kernel again\n"
	    "reboot     restarts the machine at once; VMs are lost\n"
	    "off        switches the machine off at once; VMs are lost\n");
}

static void run_machine(enum monitor_verb verb)
{
	if (verb == VERB_RESTART)
		restart();
	else if (verb == VERB_REBOOT)
		plat_reboot();
	else
		power_off();
}

static void run_line(void)
{
	uint32_t n = 0;
	enum monitor_verb verb = line_parse(line.text, &n);

	switch (verb) {
	case VERB_NONE:
		break;
	case VERB_HELP:
		help();
		break;
	case VERB_LIST:
		list_after = 0;
		step = list_step;
		break;
	case VERB_PAUSE:
	case VERB_RESUME:
		control(n, verb == VERB_PAUSE ? HV_VMC_PAUSE : HV_VMC_RESUME);
		break;
	case VERB_LOG:
		log_begin();
		break;
	case VERB_DUMP:
		dump_begin();
		break;
	case VERB_RESTART:
	case VERB_REBOOT:
	case VERB_OFF:
		run_machine(verb);
		break;
	case VERB_NEEDS_NUMBER:
		say("Say which VM, by its id: list shows them.\n");
		break;
	case VERB_TOO_MANY:
		say("That is more than the command takes; help shows all commands.\n");
		break;
	case VERB_UNKNOWN:
		say("There is no such command; help shows all commands.\n");
		break;
	}
}

/* ---- the entity ---- */

static bool is_active(void)
{
	return __atomic_load_n(&active, __ATOMIC_SEQ_CST);
}

static bool take_byte(uint8_t *byte)
{
	uint32_t tail = input_tail;

	if (tail == __atomic_load_n(&input_head, __ATOMIC_ACQUIRE)) /* pairs with poll() */
		return false;
	*byte = (uint8_t)input[tail % INPUT_SIZE];
	__atomic_store_n(&input_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

static void say_hello(void)
{
	greeted = true;
	__atomic_store_n(&input_tail, __atomic_load_n(&input_head, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
	say("\nThis machine has no control kernel any more; its VMs run on.\n"
	    "This is the monitor of the hypervisor. help shows its commands.\n");
	prompt();
}

/* One thing: a step, or a key. False: nothing to do until the timer fires. */
static bool work(void)
{
	const char *echo;
	uint8_t byte;

	if (!is_active() || uart_room() < STEP_ROOM)
		return false;
	if (__atomic_exchange_n(&greet, false, __ATOMIC_ACQUIRE))
		say_hello();
	if (!greeted)
		return false;
	if (step) {
		if (step())
			return true;
		step = NULL;
		prompt();
		return true;
	}
	if (!take_byte(&byte))
		return false;
	if (!line_key(&line, byte, &echo)) {
		uart_write(echo, strlen(echo));
		return true;
	}
	uart_write(echo, strlen(echo));
	run_line();
	if (!step && is_active())
		prompt();
	return true;
}

/* One that is blocked is unblocked by the timer, 20 ms later at most: nothing that comes in between is lost. */
static void monitor_run(struct sched_ent *e)
{
	const struct cpu *c = this_cpu();

	while (!c->need_resched)
		if (!work())
			sched_block_self(e, BLOCK_EVENT);
}

static const struct sched_ops monitor_ops = {
	.run = monitor_run, .kind = "monitor", .credit_ns = MONITOR_CREDIT_NS};

/* ---- the timer ---- */

/* What was typed while nobody listened is nobody's command: it is dropped, and the monitor greets when no more comes. */
static void drop_old(void)
{
	unsigned n = 0;

	while (n < INPUT_SIZE && uart_read() >= 0)
		n++;
	if (n != 0)
		return;
	listening = true;
	__atomic_store_n(&greet, true, __ATOMIC_RELEASE);
}

static void take_input(void)
{
	uint32_t head = input_head;

	while (head - __atomic_load_n(&input_tail, __ATOMIC_ACQUIRE) < INPUT_SIZE) {
		int byte = uart_read();

		if (byte < 0)
			break;
		input[head++ % INPUT_SIZE] = (char)byte;
	}
	__atomic_store_n(&input_head, head, __ATOMIC_RELEASE);
}

static void poll(struct timer *t)
{
	if (listening)
		take_input();
	else
		drop_old();
	spin_lock(&lock);
	if (active)
		timer_arm(t, time_now() + POLL_NS);
	spin_unlock(&lock);
	sched_unblock(&ent, BLOCK_EVENT);
}

void monitor_start(void)
{
	bool first;

	listening = false; /* the timer does not run */
	spin_lock(&lock);
	first = !made;
	if (first) {
		sched_ent_init(&ent, &monitor_ops, NULL, MONITOR_WEIGHT);
		timer_init(&poll_timer, poll);
		made = true;
	}
	active = true;
	timer_arm(&poll_timer, time_now() + POLL_NS);
	spin_unlock(&lock);
	if (first)
		sched_unblock(&ent, BLOCK_NEW);
}
