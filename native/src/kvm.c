/* SPDX-License-Identifier: MIT */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"

struct kvm_need {
	int capability;
	const char *name;
};

static const struct kvm_need kvm_needs[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static enum capsa_status kvm_open_failed(int number, struct capsa_error *error)
{
	switch (number) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(error, CAPSA_STATUS_DEVICE_MISSING, number,
				 "open", KVM_DEVICE, NULL,
				 "the hypervisor device does not exist");
	case EACCES:
	case EPERM:
		return error_set(error, CAPSA_STATUS_DEVICE_DENIED, number,
				 "open", KVM_DEVICE, NULL,
				 "no permission for the hypervisor device");
	default:
		return error_system(error, number, "open", KVM_DEVICE);
	}
}

static enum capsa_status kvm_check(int kvm_fd, struct capsa_error *error)
{
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0,
				 "KVM_GET_API_VERSION", KVM_DEVICE, NULL,
				 "the KVM interface is not version 12");
	for (size_t i = 0; i < sizeof(kvm_needs) / sizeof(*kvm_needs); i++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION,
			  kvm_needs[i].capability) <= 0)
			return error_set(error, CAPSA_STATUS_DEVICE_UNUSABLE, 0,
					 "KVM_CHECK_EXTENSION", KVM_DEVICE,
					 kvm_needs[i].name,
					 "KVM lacks a needed capability");
	}
	return CAPSA_STATUS_OK;
}

enum capsa_status kvm_open(int *kvm_fd, struct capsa_error *error)
{
	enum capsa_status status;
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return kvm_open_failed(errno, error);
	status = kvm_check(fd, error);
	if (status != CAPSA_STATUS_OK) {
		close(fd);
		return status;
	}
	*kvm_fd = fd;
	return CAPSA_STATUS_OK;
}

enum capsa_status kvm_error(struct capsa_error *error, int system_errno,
			    const char *operation)
{
	switch (system_errno) {
	case EINVAL:
	case ENODEV:
	case ENOTTY:
	case ENXIO:
	case EOPNOTSUPP:
		return error_set(
			error, CAPSA_STATUS_DEVICE_UNUSABLE, system_errno,
			operation, KVM_DEVICE, NULL,
			"the hypervisor refuses a call that is needed");
	default:
		return error_system(error, system_errno, operation, KVM_DEVICE);
	}
}

enum capsa_status kvm_create_vm(int kvm_fd, unsigned long type, int *vm_fd,
				struct capsa_error *error)
{
	int fd;

	/* A signal to the process interrupts the call; it can be repeated. */
	do {
		fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return error_system(error, errno, "KVM_CREATE_VM", KVM_DEVICE);
	*vm_fd = fd;
	return CAPSA_STATUS_OK;
}

enum capsa_status kvm_map_memory(int vm_fd, const struct memory *memory,
				 struct capsa_error *error)
{
	for (uint32_t i = 0; i < memory->range_count; i++) {
		const struct memory_range *range = &memory->ranges[i];
		struct kvm_userspace_memory_region region = {
			.slot = i,
			.guest_phys_addr = range->address,
			.memory_size = range->size,
			.userspace_addr = (uintptr_t)range->host,
		};

		if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			return error_system(error, errno,
					    "KVM_SET_USER_MEMORY_REGION",
					    KVM_DEVICE);
	}
	return CAPSA_STATUS_OK;
}

enum capsa_status kvm_create_vcpu(int kvm_fd, int vm_fd, uint32_t index,
				  int *vcpu_fd, struct kvm_run **run,
				  size_t *run_size, struct capsa_error *error)
{
	int size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *mapping;
	int fd;

	if (size < (int)sizeof(struct kvm_run))
		return error_system(error, size < 0 ? errno : EINVAL,
				    "KVM_GET_VCPU_MMAP_SIZE", KVM_DEVICE);
	fd = ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (fd < 0)
		return error_system(error, errno, "KVM_CREATE_VCPU",
				    KVM_DEVICE);
	mapping = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		       fd, 0);
	if (mapping == MAP_FAILED) {
		error_system(error, errno, "mmap", "KVM_RUN");
		close(fd);
		return CAPSA_STATUS_HOST;
	}
	*vcpu_fd = fd;
	*run = mapping;
	*run_size = (size_t)size;
	return CAPSA_STATUS_OK;
}
