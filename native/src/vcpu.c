/* SPDX-License-Identifier: MIT */
#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "error.h"
#include "kvm.h"
#include "thread.h"

/*
 * Blocked in every thread of ours and unblocked only inside KVM_RUN, which it
 * ends: so no handler is ever needed. It is sent to a thread, never to the
 * process, and high, where programs seldom look.
 */
static int vcpu_signal(void)
{
	return SIGRTMAX - 3;
}

enum capsa_status vcpu_allow_kick(int vcpu_fd, struct capsa_error *error)
{
	enum { KERNEL_SIGSET_BYTES = 8 };
	union {
		struct kvm_signal_mask mask;
		uint8_t bytes[sizeof(struct kvm_signal_mask) +
			      KERNEL_SIGSET_BYTES];
	} argument = { .mask.len = KERNEL_SIGSET_BYTES };
	uint64_t blocked = ~(1ull << (vcpu_signal() - 1));

	memcpy(argument.bytes + sizeof(struct kvm_signal_mask), &blocked,
	       sizeof(blocked));
	if (ioctl(vcpu_fd, KVM_SET_SIGNAL_MASK, &argument) < 0)
		return error_system(error, errno, "KVM_SET_SIGNAL_MASK",
				    KVM_DEVICE);
	return CAPSA_STATUS_OK;
}

void vcpu_kick(struct vcpu *vcpu)
{
	/* Seen by KVM_RUN if it has not begun; the signal ends it if it has. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, vcpu_signal());
}

/*
 * Forgets the kicks that came. Who kicks sets immediate_exit before it sends
 * the signal, so what is forgotten too early here comes again.
 */
static void vcpu_clear_kick(struct vcpu *vcpu)
{
	const struct timespec now = { 0 };
	sigset_t kick;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	sigemptyset(&kick);
	sigaddset(&kick, vcpu_signal());
	while (sigtimedwait(&kick, NULL, &now) > 0)
		;
}

static void vcpu_io(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(&vcpu->vm->board.pio, run->io.port, data,
				  run->io.size);
		else
			bus_read(&vcpu->vm->board.pio, run->io.port, data,
				 run->io.size);
		data += run->io.size;
	}
}

static void vcpu_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		bus_write(&vcpu->vm->board.mmio, run->mmio.phys_addr,
			  run->mmio.data, run->mmio.len);
	else
		bus_read(&vcpu->vm->board.mmio, run->mmio.phys_addr,
			 run->mmio.data, run->mmio.len);
}

/* The guest did what KVM cannot carry on with. */
static void vcpu_fault(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct capsa_error error;
	char field[sizeof(error.field)];

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		(void)snprintf(field, sizeof(field), "internal error %u",
			       run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		(void)snprintf(field, sizeof(field), "failed entry 0x%llx",
			       run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_ARM_NISV:
		(void)snprintf(field, sizeof(field),
			       "access to 0x%llx that no register says",
			       run->arm_nisv.fault_ipa);
		break;
	default:
		(void)snprintf(field, sizeof(field), "exit reason %u",
			       run->exit_reason);
		break;
	}
	error_set(&error, CAPSA_STATUS_GUEST_FAULT, 0, "KVM_RUN", KVM_DEVICE,
		  field, "KVM could not go on with the guest");
	machine_stop(vcpu->vm->machine, CAPSA_EXIT_FAILED, &error);
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		machine_stop(vcpu->vm->machine, CAPSA_EXIT_POWER_OFF, NULL);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		machine_stop(vcpu->vm->machine, CAPSA_EXIT_RESET, NULL);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		machine_stop(vcpu->vm->machine, CAPSA_EXIT_PANIC, NULL);
		break;
	default:
		vcpu_fault(vcpu);
		break;
	}
}

static void vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		vcpu_mmio(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN:
		machine_stop(vcpu->vm->machine, CAPSA_EXIT_TRIPLE_FAULT, NULL);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		break;
	default:
		vcpu_fault(vcpu);
		break;
	}
}

static void vcpu_enter(struct vcpu *vcpu)
{
	struct capsa_error error;

	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
		vcpu_exit(vcpu);
	} else if (errno == EINTR || errno == EAGAIN) {
		vcpu_clear_kick(vcpu);
	} else {
		error_system(&error, errno, "KVM_RUN", KVM_DEVICE);
		machine_stop(vcpu->vm->machine, CAPSA_EXIT_FAILED, &error);
	}
	atomic_fetch_add_explicit(&vcpu->exits, 1, memory_order_relaxed);
}

static void *vcpu_main(void *argument)
{
	struct vcpu *vcpu = argument;
	enum vm_command command;

	if (vcpu->index == 0)
		mailbox_post(&vcpu->vm->machine->box, MAIL_STARTED);
	while ((command = atomic_load(&vcpu->vm->command)) != VM_STOP) {
		if (command == VM_PAUSE)
			vm_rest(vcpu->vm);
		else
			vcpu_enter(vcpu);
	}
	vm_leave(vcpu->vm);
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	return thread_create(&vcpu->thread, "capsa-vcpu", vcpu_main, vcpu);
}
