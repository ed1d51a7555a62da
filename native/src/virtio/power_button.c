/* SPDX-License-Identifier: MIT */
#include "virtio/power_button.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	BUTTON_EVENTS,
	BUTTON_STATUS, /* lamps of a keyboard; this one has none */
	BUTTON_QUEUES,
	BUTTON_QUEUE_SIZE = 64,
	BUTTON_KEYS_BYTES = KEY_POWER / 8 + 1,
};

/* What a press is to the driver: one buffer for each. */
static const struct virtio_input_event button_events[] = {
	{ .type = EV_KEY, .code = KEY_POWER, .value = 1 },
	{ .type = EV_SYN, .code = SYN_REPORT },
	{ .type = EV_KEY, .code = KEY_POWER, .value = 0 },
	{ .type = EV_SYN, .code = SYN_REPORT },
};

enum { BUTTON_SEQUENCE = sizeof(button_events) / sizeof(button_events[0]) };

struct power_button {
	struct virtio_device device; /* first: found from it */
	atomic_bool pressed;
	uint32_t next;  /* of button_events; BUTTON_SEQUENCE: nothing to tell */
	uint8_t select; /* what of the configuration is shown */
	uint8_t subselect;
	struct virtqueue_chain chain;
};

static struct power_button *button_of(struct virtio_device *device)
{
	return (struct power_button *)device;
}

static bool button_has_event(struct power_button *button)
{
	if (button->next == BUTTON_SEQUENCE &&
	    atomic_exchange(&button->pressed, false))
		button->next = 0;
	return button->next < BUTTON_SEQUENCE;
}

/* One request; as virtqueue_pop(). */
static int button_serve(struct power_button *button, uint32_t index)
{
	struct virtqueue *queue = &button->device.queues[index];
	const struct virtio_input_event *event;
	uint32_t written = 0;
	int result;

	if (index == BUTTON_EVENTS && !button_has_event(button))
		return 0;
	result = virtqueue_pop(queue, &button->chain);
	if (result <= 0)
		return result;
	if (index == BUTTON_EVENTS) {
		event = &button_events[button->next++];
		written = virtqueue_chain_write(&button->chain, event,
						sizeof(*event));
		if (written < sizeof(*event))
			return -EPROTO;
	}
	virtqueue_push(queue, button->chain.head, written);
	return 1;
}

static void button_notify(struct virtio_device *device, uint32_t index)
{
	struct power_button *button = button_of(device);
	struct virtqueue *queue = &device->queues[index];
	uint32_t turn = queue->size;
	int result;

	virtqueue_disable_notify(queue);
	do {
		result = button_serve(button, index);
	} while (result > 0 && --turn > 0);
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	/* Buffers for events are of no interest while there is none. */
	else if ((index == BUTTON_STATUS || button_has_event(button)) &&
		 virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

static void button_nothing(struct virtio_device *device)
{
	(void)device;
}

static void button_reset(struct virtio_device *device)
{
	struct power_button *button = button_of(device);

	button->next = BUTTON_SEQUENCE;
	button->select = 0;
	button->subselect = 0;
}

/* Fills in the answer to what is selected; a size of 0 says no. */
static void button_describe(const struct power_button *button,
			    struct virtio_input_config *config)
{
	static const char name[] = "capsa power button";

	*config = (struct virtio_input_config) {
		.select = button->select,
		.subsel = button->subselect,
	};
	if (button->select == VIRTIO_INPUT_CFG_ID_NAME &&
	    button->subselect == 0) {
		config->size = sizeof(name) - 1;
		memcpy(config->u.string, name, sizeof(name) - 1);
	} else if (button->select == VIRTIO_INPUT_CFG_EV_BITS &&
		   button->subselect == EV_KEY) {
		config->size = BUTTON_KEYS_BYTES;
		config->u.bitmap[KEY_POWER / 8] = 1u << KEY_POWER % 8;
	}
}

static void button_config_read(struct virtio_device *device, uint32_t offset,
			       uint8_t *data, uint32_t length)
{
	struct virtio_input_config config;

	button_describe(button_of(device), &config);
	memcpy(data, (const uint8_t *)&config + offset, length);
}

static void button_config_write(struct virtio_device *device, uint32_t offset,
				const uint8_t *data, uint32_t length)
{
	struct power_button *button = button_of(device);

	for (uint32_t i = 0; i < length; i++) {
		if (offset + i == offsetof(struct virtio_input_config, select))
			button->select = data[i];
		if (offset + i == offsetof(struct virtio_input_config, subsel))
			button->subselect = data[i];
	}
}

static void button_destroy(struct virtio_device *device)
{
	free(button_of(device));
}

static const struct virtio_device_ops button_ops = {
	.device_id = VIRTIO_ID_INPUT,
	.queue_count = BUTTON_QUEUES,
	.queue_size_max = BUTTON_QUEUE_SIZE,
	.config_size = sizeof(struct virtio_input_config),
	.activate = button_nothing,
	.notify = button_notify,
	.reset = button_reset,
	.config_read = button_config_read,
	.config_write = button_config_write,
	.destroy = button_destroy,
};

int virtio_power_button_create(struct virtio_device **out)
{
	struct power_button *button = calloc(1, sizeof(*button));

	if (!button)
		return -ENOMEM;
	button->device.ops = &button_ops;
	atomic_init(&button->pressed, false);
	button->next = BUTTON_SEQUENCE;
	*out = &button->device;
	return 0;
}

void virtio_power_button_press(struct virtio_device *device)
{
	atomic_store(&button_of(device)->pressed, true);
	virtio_device_kick(device, BUTTON_EVENTS);
}
