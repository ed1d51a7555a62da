/* SPDX-License-Identifier: MIT */
/*
 * Output is taken from the driver's buffers straight into the port; input is
 * taken from the port straight into them, and only when there are some. All
 * work runs on the loop, one bounded turn at a time.
 *
 * What the driver may ask for is bounded by what is kept: a request under way
 * for each direction of a port, and a bit for each control message due.
 */
#include "virtio/console.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	CONSOLE_PORTS = 1,
	CONSOLE_QUEUE_SIZE = 256,
	CONSOLE_CONTROL_RECEIVE = 2, /* queues, by section 5.3.2 */
	CONSOLE_CONTROL_TRANSMIT = 3,
	CONSOLE_QUEUES = 2 * (CONSOLE_PORTS + 1),
	/*
	 * Output of one turn. A chain may hold 4 GiB in overlapping buffers:
	 * without a limit one machine would hold up all others.
	 */
	CONSOLE_TURN_BYTES = 256 * 1024,
};

_Static_assert((int)CONSOLE_QUEUES <= (int)VIRTIO_QUEUES_MAX,
	       "a transport has fewer queues");

/* Control messages to the driver, in the order in which they are sent. */
static const uint16_t console_events[] = {
	VIRTIO_CONSOLE_PORT_ADD,
	VIRTIO_CONSOLE_CONSOLE_PORT,
	VIRTIO_CONSOLE_PORT_NAME,
	VIRTIO_CONSOLE_PORT_OPEN,
};

enum { CONSOLE_EVENTS = sizeof(console_events) / sizeof(console_events[0]) };

/* A request, and how far it is served. */
struct console_request {
	bool taken;
	uint16_t buffer; /* the next one */
	size_t offset;   /* into it */
	struct virtqueue_chain chain;
};

struct console_channel {
	struct console_port host;
	const char *name;
	bool open;   /* by the driver: it takes input */
	uint8_t due; /* control messages: a bit for each of console_events */
	struct console_request input;
	struct console_request output;
};

struct console {
	struct virtio_device device; /* first: found from it */
	struct console_channel channels[CONSOLE_PORTS];
	struct virtqueue_chain control;
};

static struct console *console_of(struct virtio_device *device)
{
	return (struct console *)device;
}

/* Ports have two queues each; those of port 0 come before the control's. */
static uint32_t console_receive_queue(uint32_t port)
{
	return port == 0 ? 0 : 2 * port + 2;
}

static uint32_t console_queue_port(uint32_t queue)
{
	return queue < 2 ? 0 : queue / 2 - 1;
}

/* The next request unless one is under way. As virtqueue_pop(). */
static int console_take(struct virtqueue *queue,
			struct console_request *request)
{
	int result = 1;

	if (!request->taken) {
		result = virtqueue_pop(queue, &request->chain);
		request->taken = result > 0;
		request->buffer = 0;
		request->offset = 0;
	}
	return result;
}

static void console_give_back(struct virtqueue *queue,
			      struct console_request *request, uint32_t written)
{
	request->taken = false;
	virtqueue_push(queue, request->chain.head, written);
}

/* Hands up to budget bytes of a request to the host; how many it was. */
static uint32_t console_write_out(struct console_channel *channel,
				  uint32_t budget)
{
	struct console_request *request = &channel->output;
	uint32_t written = 0;

	while (request->buffer < request->chain.readable && written < budget) {
		const struct iovec *buffer =
			&request->chain.buffers[request->buffer];
		size_t left = buffer->iov_len - request->offset;
		uint32_t part = budget - written;

		if (left <= part) {
			part = (uint32_t)left;
			request->buffer++;
		}
		channel->host.output(channel->host.owner,
				     (const uint8_t *)buffer->iov_base +
					     request->offset,
				     part);
		request->offset = part < left ? request->offset + part : 0;
		written += part;
	}
	return written;
}

static void console_transmit(struct console *console, uint32_t port)
{
	struct console_channel *channel = &console->channels[port];
	struct virtio_device *device = &console->device;
	uint32_t index = console_receive_queue(port) + 1;
	struct virtqueue *queue = &device->queues[index];
	uint32_t budget = CONSOLE_TURN_BYTES;
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0 && budget > 0; turn--) {
		result = console_take(queue, &channel->output);
		if (result <= 0)
			break;
		budget -= console_write_out(channel, budget);
		if (channel->output.buffer == channel->output.chain.readable)
			console_give_back(queue, &channel->output, 0);
	}
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (channel->output.taken || virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

/* Fills a request from the host; how many bytes there were. */
static uint32_t console_read_in(const struct console_channel *channel)
{
	const struct virtqueue_chain *chain = &channel->input.chain;
	uint32_t total = 0;

	for (uint32_t i = 0; i < chain->writable; i++) {
		const struct iovec *buffer =
			&chain->buffers[chain->readable + i];
		uint32_t count = channel->host.input(channel->host.owner,
						     buffer->iov_base,
						     (uint32_t)buffer->iov_len);

		total += count;
		if (count < buffer->iov_len)
			break;
	}
	return total;
}

/*
 * A request that finds no input stays taken: what the host says next goes
 * into it, and the driver's notifications are of no interest meanwhile.
 */
static void console_receive(struct console *console, uint32_t port)
{
	struct console_channel *channel = &console->channels[port];
	struct virtio_device *device = &console->device;
	uint32_t index = console_receive_queue(port);
	struct virtqueue *queue = &device->queues[index];
	uint32_t turn = channel->open ? queue->size : 0;
	int result = 0;

	for (; turn > 0; turn--) {
		uint32_t count;

		result = console_take(queue, &channel->input);
		if (result <= 0)
			break;
		count = console_read_in(channel);
		if (count == 0 && channel->input.chain.writable > 0)
			break;
		console_give_back(queue, &channel->input, count);
	}
	virtio_device_interrupt(device, index);
	if (result < 0)
		virtio_device_fail(device);
	else if (channel->open && !channel->input.taken &&
		 virtqueue_enable_notify(queue))
		virtio_device_kick(device, index);
}

enum { CONSOLE_MESSAGE_MAX = 64 };

/* Puts the message into bytes; its length. */
static uint32_t console_message(const struct console *console, uint32_t port,
				uint16_t event, uint8_t *bytes)
{
	const struct virtio_console_control control = {
		.id = port,
		.event = event,
		.value = 1,
	};
	uint32_t length = sizeof(control);

	memcpy(bytes, &control, sizeof(control));
	if (event == VIRTIO_CONSOLE_PORT_NAME) {
		const char *name = console->channels[port].name;
		size_t size = strnlen(name, CONSOLE_MESSAGE_MAX - length);

		memcpy(bytes + length, name, size);
		length += (uint32_t)size;
	}
	return length;
}

/* Sends one message. As virtqueue_pop(). */
static int console_send(struct console *console, uint32_t port, uint16_t event)
{
	struct virtqueue *queue =
		&console->device.queues[CONSOLE_CONTROL_RECEIVE];
	uint8_t bytes[CONSOLE_MESSAGE_MAX];
	uint32_t length = console_message(console, port, event, bytes);
	int result = virtqueue_pop(queue, &console->control);

	if (result <= 0)
		return result;
	if (virtqueue_chain_write(&console->control, bytes, length) < length)
		return -EPROTO;
	virtqueue_push(queue, console->control.head, length);
	return result;
}

/* Sends what is due for a port, as far as the driver's buffers go. */
static int console_send_due(struct console *console, uint32_t port)
{
	struct console_channel *channel = &console->channels[port];

	for (uint32_t i = 0; i < CONSOLE_EVENTS; i++) {
		int result;

		if (!(channel->due >> i & 1))
			continue;
		result = console_send(console, port, console_events[i]);
		if (result <= 0)
			return result;
		channel->due &= (uint8_t) ~(1u << i);
	}
	return 1;
}

static void console_control_send(struct console *console)
{
	struct virtio_device *device = &console->device;
	struct virtqueue *queue = &device->queues[CONSOLE_CONTROL_RECEIVE];
	int result = 1;

	for (uint32_t i = 0; i < CONSOLE_PORTS && result > 0; i++)
		result = console_send_due(console, i);
	virtio_device_interrupt(device, CONSOLE_CONTROL_RECEIVE);
	if (result < 0)
		virtio_device_fail(device);
	else if (result == 0 && virtqueue_enable_notify(queue))
		virtio_device_kick(device, CONSOLE_CONTROL_RECEIVE);
}

/* A message of the driver; what makes no sense is ignored (section 5.3.6.2). */
static void console_handle(struct console *console,
			   const struct virtio_console_control *control)
{
	struct console_channel *channel;

	if (control->event == VIRTIO_CONSOLE_DEVICE_READY) {
		for (uint32_t i = 0; i < CONSOLE_PORTS; i++)
			console->channels[i].due = control->value == 1;
		return;
	}
	if (control->id >= CONSOLE_PORTS)
		return;
	channel = &console->channels[control->id];
	if (control->event == VIRTIO_CONSOLE_PORT_READY) {
		/* All but PORT_ADD, which it answers. */
		channel->due = control->value == 1 ? (1u << CONSOLE_EVENTS) - 2
						   : 0;
	} else if (control->event == VIRTIO_CONSOLE_PORT_OPEN) {
		channel->open = control->value == 1;
		virtio_device_kick(&console->device,
				   console_receive_queue(control->id));
	}
}

static void console_control_receive(struct console *console)
{
	struct virtio_device *device = &console->device;
	struct virtqueue *queue = &device->queues[CONSOLE_CONTROL_TRANSMIT];
	int result = 0;

	virtqueue_disable_notify(queue);
	for (uint32_t turn = queue->size; turn > 0; turn--) {
		struct virtio_console_control control;

		result = virtqueue_pop(queue, &console->control);
		if (result <= 0)
			break;
		if (virtqueue_chain_read(&console->control, &control,
					 sizeof(control)) == sizeof(control))
			console_handle(console, &control);
		virtqueue_push(queue, console->control.head, 0);
	}
	virtio_device_interrupt(device, CONSOLE_CONTROL_TRANSMIT);
	if (result < 0)
		virtio_device_fail(device);
	else if (virtqueue_enable_notify(queue))
		virtio_device_kick(device, CONSOLE_CONTROL_TRANSMIT);
}

static void console_notify(struct virtio_device *device, uint32_t queue)
{
	struct console *console = console_of(device);

	if (queue == CONSOLE_CONTROL_RECEIVE) {
		console_control_send(console);
	} else if (queue == CONSOLE_CONTROL_TRANSMIT) {
		console_control_receive(console);
		if (device->active)
			console_control_send(console);
	} else if (queue % 2 == 0) {
		console_receive(console, console_queue_port(queue));
	} else {
		console_transmit(console, console_queue_port(queue));
	}
}

static void console_activate(struct virtio_device *device)
{
	/* Without the multiport protocol nobody opens the only port. */
	if (!(device->features >> VIRTIO_CONSOLE_F_MULTIPORT & 1))
		console_of(device)->channels[0].open = true;
}

static void console_reset(struct virtio_device *device)
{
	struct console *console = console_of(device);

	for (uint32_t i = 0; i < CONSOLE_PORTS; i++) {
		console->channels[i].open = false;
		console->channels[i].due = 0;
		console->channels[i].input.taken = false;
		console->channels[i].output.taken = false;
	}
}

static void console_config_read(struct virtio_device *device, uint32_t offset,
				uint8_t *data, uint32_t length)
{
	const struct virtio_console_config config = {
		.max_nr_ports = CONSOLE_PORTS,
	};

	(void)device;
	memcpy(data, (const uint8_t *)&config + offset, length);
}

static void console_destroy(struct virtio_device *device)
{
	free(console_of(device));
}

#define CONSOLE_OPS(offered, queues)                                           \
	{                                                                      \
		.device_id = VIRTIO_ID_CONSOLE, .features = (offered),         \
		.queue_count = (queues), .queue_size_max = CONSOLE_QUEUE_SIZE, \
		.config_size = sizeof(struct virtio_console_config),           \
		.activate = console_activate, .notify = console_notify,        \
		.reset = console_reset, .config_read = console_config_read,    \
		.destroy = console_destroy,                                    \
	}

static const struct virtio_device_ops console_ops = CONSOLE_OPS(0, 2);
static const struct virtio_device_ops console_multiport_ops = CONSOLE_OPS(
	UINT64_C(1) << VIRTIO_CONSOLE_F_MULTIPORT, CONSOLE_QUEUES);

int virtio_console_create(struct virtio_device **out,
			  const struct console_port *port, bool multiport)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return -ENOMEM;
	console->device.ops = multiport ? &console_multiport_ops : &console_ops;
	console->channels[0] = (struct console_channel) {
		.host = *port,
		.name = "capsa.console",
	};
	*out = &console->device;
	return 0;
}

void virtio_console_input(struct virtio_device *device)
{
	virtio_device_kick(device, console_receive_queue(0));
}
