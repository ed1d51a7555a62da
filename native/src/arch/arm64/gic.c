/* SPDX-License-Identifier: MIT */
#include "gic.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "error.h"
#include "kvm.h"
#include "layout.h"

struct gic_address {
	uint64_t type;
	uint64_t address;
};

static uint32_t gic_device(uint32_t version)
{
	return version == 3 ? KVM_DEV_TYPE_ARM_VGIC_V3
			    : KVM_DEV_TYPE_ARM_VGIC_V2;
}

enum capsa_status gic_version(int vm_fd, uint32_t *version,
			      struct capsa_error *error)
{
	for (*version = 3; *version >= 2; --*version) {
		struct kvm_create_device test = {
			.type = gic_device(*version),
			.flags = KVM_CREATE_DEVICE_TEST,
		};

		if (ioctl(vm_fd, KVM_CREATE_DEVICE, &test) == 0)
			return CAPSA_STATUS_OK;
	}
	*version = 0;
	return kvm_error(error, errno, "KVM_CREATE_DEVICE");
}

static enum capsa_status gic_set(int gic_fd, uint32_t group, uint64_t attribute,
				 const void *value, struct capsa_error *error)
{
	const struct kvm_device_attr request = {
		.group = group,
		.attr = attribute,
		.addr = (uintptr_t)value,
	};

	if (ioctl(gic_fd, KVM_SET_DEVICE_ATTR, &request) < 0)
		return kvm_error(error, errno, "KVM_SET_DEVICE_ATTR");
	return CAPSA_STATUS_OK;
}

static enum capsa_status gic_set_up(int gic_fd, uint32_t version,
				    struct capsa_error *error)
{
	static const struct gic_address version2[] = {
		{ KVM_VGIC_V2_ADDR_TYPE_DIST, ARM64_GIC_DISTRIBUTOR },
		{ KVM_VGIC_V2_ADDR_TYPE_CPU, ARM64_GICV2_CPU_INTERFACE },
	};
	static const struct gic_address version3[] = {
		{ KVM_VGIC_V3_ADDR_TYPE_DIST, ARM64_GIC_DISTRIBUTOR },
		{ KVM_VGIC_V3_ADDR_TYPE_REDIST, ARM64_GIC_REDISTRIBUTORS },
	};
	const struct gic_address *addresses = version == 3 ? version3
							   : version2;
	const uint32_t interrupts = ARM64_INTERRUPTS;
	enum capsa_status status = CAPSA_STATUS_OK;

	for (size_t i = 0; i < 2 && status == CAPSA_STATUS_OK; i++)
		status = gic_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				 addresses[i].type, &addresses[i].address,
				 error);
	if (status == CAPSA_STATUS_OK)
		status = gic_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0,
				 &interrupts, error);
	if (status == CAPSA_STATUS_OK)
		status = gic_set(gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				 KVM_DEV_ARM_VGIC_CTRL_INIT, NULL, error);
	return status;
}

enum capsa_status gic_create(int vm_fd, uint32_t version,
			     struct capsa_error *error)
{
	struct kvm_create_device request = { .type = gic_device(version) };
	enum capsa_status status;

	if (ioctl(vm_fd, KVM_CREATE_DEVICE, &request) < 0)
		return kvm_error(error, errno, "KVM_CREATE_DEVICE");
	/* It lives as long as the virtual machine. */
	status = gic_set_up((int)request.fd, version, error);
	close((int)request.fd);
	return status;
}
