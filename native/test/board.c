/* SPDX-License-Identifier: MIT */
#include "board.h"

#include "tap.h"

static struct machine_config bare(void)
{
	return (struct machine_config) {
		.cpus = 1,
		.discovery = CAPSA_DISCOVERY_FIRMWARE,
	};
}

/* As many devices as machine_config allows. */
static struct machine_config equipped(void)
{
	static char path[] = "vsock";
	struct machine_config config = bare();

	config.balloon = true;
	config.has_nic = true;
	config.vsock = path;
	config.disk_count = CAPSA_DISKS_MAX;
	config.share_count = CAPSA_DEVICES_MAX - CAPSA_DISKS_MAX - 3;
	return config;
}

static void a_bare_machine_has_console_entropy_and_button(void)
{
	struct machine_config config = bare();
	bool virtio = arch_gsi_power_button() == ARCH_GSI_NONE;

	CHECK(board_shape(&config).virtio_count == (virtio ? 3 : 2));
}

static void each_device_is_counted(void)
{
	struct machine_config config = bare();
	uint32_t least = board_shape(&config).virtio_count;

	config = equipped();
	CHECK(board_shape(&config).virtio_count == least + CAPSA_DEVICES_MAX);
	CHECK(board_shape(&config).virtio_count <= ARCH_VIRTIO_MAX);
}

static void each_device_has_an_address_and_an_interrupt_of_its_own(void)
{
	struct machine_config config = equipped();
	struct arch_shape shape = board_shape(&config);

	for (uint32_t i = 0; i < shape.virtio_count; i++) {
		CHECK(shape.virtio[i].gsi != arch_gsi_uart());
		CHECK(shape.virtio[i].gsi != arch_gsi_power_button());
		for (uint32_t j = 0; j < i; j++) {
			CHECK(shape.virtio[i].gsi != shape.virtio[j].gsi);
			CHECK(shape.virtio[i].base >=
			      shape.virtio[j].base + VIRTIO_MMIO_SIZE);
		}
	}
}

int main(void)
{
	TEST(a_bare_machine_has_console_entropy_and_button);
	TEST(each_device_is_counted);
	TEST(each_device_has_an_address_and_an_interrupt_of_its_own);
	return tap_done();
}
