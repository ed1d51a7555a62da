/* SPDX-License-Identifier: MIT */
#include "virtio/fs.h"

#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <linux/virtio_fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "fake_driver.h"
#include "fake_fuse.h"
#include "tap.h"

enum {
	HIPRIO,
	REQUESTS,
	QUEUES,
	SIZE = 16,
	RING = 0x10000,    /* addresses in guest memory */
	REQUEST = 0x30000, /* a page for each request */
	REPLY = FAKE_HIGH,
	PAGE = 4096,
	WORKERS = 8,
};

static struct memory memory;
static struct loop *loop;
static struct workers *workers;

/* A share and its driver. */
struct share {
	struct virtio_device *device;
	struct virtio_mmio *mmio;
	struct fake_queue queues[QUEUES];
	int irq_fd;
	char folder[64];
	uint64_t ring; /* where in guest memory */
	uint64_t unique;
};

static struct share share;

static void open_share(struct share *one, uint64_t ring)
{
	struct share_config config = { .tag = (char *)"data",
				       .cache = CAPSA_SHARE_CACHE_AUTO };

	memset(one, 0, sizeof(*one));
	fake_folder_create(one->folder, sizeof(one->folder));
	config.path = one->folder;
	one->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	one->ring = ring;
	CHECK(virtio_fs_create(&one->device, &config, 1 << 20, workers) == 0);
	CHECK(virtio_mmio_create(&one->mmio, one->device, &memory, loop,
				 one->irq_fd) == 0);
}

static void bring_up(struct share *one)
{
	/* The rings are the device's until it is reset. */
	fake_write32(one->mmio, VIRTIO_MMIO_STATUS, 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		one->queues[i] = fake_queue(
			&memory, one->ring + i * FAKE_RING_BYTES, SIZE);
	CHECK(fake_bring_up(one->mmio, FAKE_FEATURES, one->queues, QUEUES) ==
	      0xf);
}

static void close_share(struct share *one)
{
	virtio_mmio_destroy(one->mmio);
	close(one->irq_fd);
	fake_folder_remove(one->folder);
}

static void set_up(void)
{
	fake_memory_create(&memory);
	CHECK(loop_create(&loop) == 0);
	CHECK(workers_create(&workers, "test", WORKERS) == 0);
	open_share(&share, RING);
	bring_up(&share);
}

static void tear_down(void)
{
	close_share(&share);
	loop_destroy(loop);
	workers_destroy(workers);
	fake_memory_destroy(&memory);
}

static void *guest(uint64_t address)
{
	return memory_at(&memory, address, 1);
}

static void notify(struct share *one, uint32_t queue)
{
	fake_write32(one->mmio, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

/* Puts a request into slot, whose descriptors are 2 * slot and the next. */
static void offer(struct share *one, uint32_t slot, uint32_t opcode,
		  uint64_t node, const void *body, uint32_t size,
		  uint64_t reply, uint32_t room)
{
	struct fake_queue *queue = &one->queues[REQUESTS];
	uint64_t address = REQUEST + (uint64_t)slot * PAGE;
	uint16_t head = (uint16_t)(2 * slot);
	uint16_t before = queue->offered;
	const struct fuse_in_header header = {
		.len = (uint32_t)sizeof(header) + size,
		.opcode = opcode,
		.unique = ++one->unique,
		.nodeid = node,
	};

	memcpy(guest(address), &header, sizeof(header));
	if (size > 0)
		memcpy((uint8_t *)guest(address) + sizeof(header), body, size);
	fake_descriptor(&queue->descriptors[head], address, header.len,
			VRING_DESC_F_NEXT, (uint16_t)(head + 1));
	fake_descriptor(&queue->descriptors[head + 1], reply, room,
			VRING_DESC_F_WRITE, 0);
	fake_offer(queue, head);
	if (fake_must_notify(queue, true, before))
		notify(one, REQUESTS);
}

static bool await(struct share *one, uint32_t queue,
		  struct vring_used_elem *element)
{
	return fake_await(one->mmio, one->irq_fd, &one->queues[queue], element);
}

/* Asks and waits; 0 or -errno, and what follows the answer's header. */
static int ask(struct share *one, uint32_t opcode, uint64_t node,
	       const void *body, uint32_t size, void *reply, uint32_t length)
{
	struct vring_used_elem element;
	struct fuse_out_header answer;

	offer(one, 0, opcode, node, body, size, REPLY, 2 * PAGE);
	if (!await(one, REQUESTS, &element))
		exit(2);
	memcpy(&answer, guest(REPLY), sizeof(answer));
	CHECK(element.id == 0 && element.len == answer.len);
	CHECK(answer.unique == one->unique);
	if (answer.error == 0)
		CHECK(answer.len == sizeof(answer) + length);
	if (length > 0)
		memcpy(reply, (uint8_t *)guest(REPLY) + sizeof(answer), length);
	return answer.error;
}

static void begin(struct share *one)
{
	const struct fuse_init_in in = { .major = 7,
					 .minor = 31,
					 .flags = FUSE_MAX_PAGES };
	struct fuse_init_out out;

	CHECK(ask(one, FUSE_INIT, 0, &in, sizeof(in), &out, sizeof(out)) == 0);
	CHECK(out.major == 7 && out.max_pages == 256);
}

static uint64_t look_up(struct share *one, const char *name)
{
	struct fuse_entry_out entry;

	return ask(one, FUSE_LOOKUP, FUSE_ROOT, name,
		   (uint32_t)strlen(name) + 1, &entry, sizeof(entry)) == 0
		       ? entry.nodeid
		       : 0;
}

static uint64_t open_node(struct share *one, uint64_t node)
{
	const struct fuse_open_in in = { .flags = O_RDWR };
	struct fuse_open_out out = { 0 };

	CHECK(ask(one, FUSE_OPEN, node, &in, sizeof(in), &out, sizeof(out)) ==
	      0);
	return out.fh;
}

static void make_file(struct share *one, const char *name, size_t length)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", one->folder, name);
	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	for (size_t i = 0; i < length; i++)
		CHECK(write(fd, &(char) { (char)('a' + i % 26) }, 1) == 1);
	close(fd);
}

static void it_tells_its_tag_and_queues(void)
{
	struct virtio_fs_config config;
	char tag[36] = "data";

	set_up();
	for (uint64_t i = 0; i < sizeof(config); i += 4)
		virtio_mmio_bus_ops.read(share.mmio, VIRTIO_MMIO_CONFIG + i,
					 (uint8_t *)&config + i, 4);
	CHECK(memcmp(config.tag, tag, sizeof(tag)) == 0);
	CHECK(config.num_request_queues == 1);
	CHECK(fake_read32(share.mmio, VIRTIO_MMIO_DEVICE_ID) == 26);
	CHECK(virtio_mmio_queue_count(share.mmio) == QUEUES);
	tear_down();
}

static void longest_tags_have_no_end(void)
{
	char tag[37] = "123456789012345678901234567890123456";
	char folder[64];
	struct share_config config = { .tag = tag,
				       .path = folder,
				       .cache = CAPSA_SHARE_CACHE_NONE };
	struct virtio_device *device;
	char read[36];

	fake_folder_create(folder, sizeof(folder));
	CHECK(virtio_fs_create(&device, &config, 1 << 20, NULL) == 0);
	device->ops->config_read(device, 0, (uint8_t *)read, sizeof(read));
	CHECK(memcmp(read, tag, sizeof(read)) == 0);
	device->ops->destroy(device);
	fake_folder_remove(folder);
	CHECK(virtio_fs_create(&device, &config, 1 << 20, NULL) == -ENOENT);
}

static void requests_are_answered(void)
{
	const struct fuse_getattr_in getattr = { 0 };
	struct fuse_read_in read = { .size = PAGE };
	struct fuse_attr_out attr;
	char text[100];
	uint64_t node;

	set_up();
	make_file(&share, "file", 100);
	begin(&share);
	node = look_up(&share, "file");
	CHECK(node != 0 && look_up(&share, "none") == 0);
	read.fh = open_node(&share, node);
	CHECK(ask(&share, FUSE_GETATTR, node, &getattr, sizeof(getattr), &attr,
		  sizeof(attr)) == 0);
	CHECK(attr.attr.size == 100);
	CHECK(ask(&share, FUSE_READ, node, &read, sizeof(read), text, 100) ==
	      0);
	CHECK(memcmp(text, "abcdefghijklmnopqrstuvwxyzabcd", 30) == 0);
	CHECK(virtio_fs_requests(share.device) == 6);
	tear_down();
}

/* A write of pieces in buffers of their own, and a read back into others. */
static void data_goes_straight_through_many_buffers(void)
{
	enum { PIECES = 5, PIECE = 333 };
	struct fake_queue *queue = &share.queues[REQUESTS];
	struct {
		struct fuse_in_header header;
		struct fuse_write_in in;
	} request = {
		.header = { .len = sizeof(request) + PIECES * PIECE,
			    .opcode = FUSE_WRITE },
		.in = { .size = PIECES * PIECE },
	};
	struct fuse_read_in read = { .size = PIECES * PIECE };
	struct vring_used_elem element;
	uint8_t back[PIECES * PIECE];
	uint32_t wrong = 0;

	set_up();
	make_file(&share, "file", 0);
	begin(&share);
	request.header.nodeid = look_up(&share, "file");
	request.in.fh = open_node(&share, request.header.nodeid);
	read.fh = request.in.fh;
	memcpy(guest(REQUEST), &request, sizeof(request));
	fake_descriptor(&queue->descriptors[0], REQUEST, sizeof(request),
			VRING_DESC_F_NEXT, 1);
	for (uint16_t i = 0; i < PIECES; i++) {
		uint64_t address = REQUEST + (i + 1u) * PAGE + i;

		for (uint32_t k = 0; k < PIECE; k++)
			((uint8_t *)guest(address))[k] =
				(uint8_t)((i * PIECE + k) * 7);
		fake_descriptor(&queue->descriptors[i + 1], address, PIECE,
				VRING_DESC_F_NEXT, (uint16_t)(i + 2));
	}
	fake_descriptor(&queue->descriptors[PIECES + 1], REPLY, 24,
			VRING_DESC_F_WRITE, 0);
	fake_offer(queue, 0);
	notify(&share, REQUESTS);
	CHECK(await(&share, REQUESTS, &element) && element.len == 24);
	CHECK(ask(&share, FUSE_READ, request.header.nodeid, &read, sizeof(read),
		  back, sizeof(back)) == 0);
	for (uint32_t i = 0; i < sizeof(back); i++)
		wrong += back[i] != (uint8_t)(i * 7);
	CHECK(wrong == 0);
	tear_down();
}

static void forgetting_goes_by_its_own_queue(void)
{
	struct fake_queue *queue = &share.queues[HIPRIO];
	struct {
		struct fuse_in_header header;
		struct fuse_forget_in in;
	} request = {
		.header = { .len = sizeof(request), .opcode = FUSE_FORGET },
		.in = { .nlookup = 2 },
	};
	const struct fuse_getattr_in getattr = { 0 };
	struct vring_used_elem element;
	uint64_t node;

	set_up();
	make_file(&share, "file", 1);
	begin(&share);
	node = look_up(&share, "file");
	CHECK(look_up(&share, "file") == node);
	request.header.nodeid = node;
	memcpy(guest(REQUEST), &request, sizeof(request));
	for (uint16_t i = 0; i < 40; i++) {
		fake_buffer(queue, i % SIZE, REQUEST, sizeof(request), 0);
		notify(&share, HIPRIO);
		CHECK(await(&share, HIPRIO, &element));
		CHECK(element.id == i % SIZE && element.len == 0);
	}
	CHECK(ask(&share, FUSE_GETATTR, node, &getattr, sizeof(getattr), NULL,
		  0) == -ESTALE);
	tear_down();
}

static bool needs_reset(struct share *one)
{
	while (!(fake_read32(one->mmio, VIRTIO_MMIO_STATUS) &
		 VIRTIO_CONFIG_S_NEEDS_RESET))
		if (!fake_interrupt(one->mmio, one->irq_fd))
			return false;
	return true;
}

/* Each breaks the ring in its own way; after a reset all is well. */
static void broken_rings_stop_the_device(void)
{
	set_up();
	for (int kind = 0; kind < 5; kind++) {
		for (uint32_t index = 0; index < QUEUES; index++) {
			struct fake_queue *queue = &share.queues[index];

			bring_up(&share);
			switch (kind) {
			case 0: /* a loop */
				fake_descriptor(&queue->descriptors[0], REQUEST,
						64, VRING_DESC_F_NEXT, 0);
				fake_offer(queue, 0);
				break;
			case 1: /* outside of memory */
				fake_buffer(queue, 0, FAKE_RANGE - 8, 64, 0);
				break;
			case 2: /* readable after writable */
				fake_descriptor(
					&queue->descriptors[0], REQUEST, 64,
					VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
					1);
				fake_descriptor(&queue->descriptors[1], REQUEST,
						64, 0, 0);
				fake_offer(queue, 0);
				break;
			case 3: /* a head that is none */
				fake_offer(queue, SIZE);
				break;
			default: /* an index that jumps */
				queue->offered = 1000;
				fake_offer(queue, 0);
				break;
			}
			notify(&share, index);
			CHECK(needs_reset(&share));
		}
	}
	bring_up(&share);
	begin(&share);
	tear_down();
}

/* Right rings with requests that are none: they come back, and empty. */
static void requests_that_are_none_come_back(void)
{
	struct fake_queue *queue = &share.queues[REQUESTS];
	struct vring_used_elem element;

	set_up();
	memset(guest(REQUEST), 0, PAGE);
	for (uint32_t length = 1; length < 40; length += 7) {
		fake_buffer(queue, 0, REQUEST, length, 0);
		notify(&share, REQUESTS);
		CHECK(await(&share, REQUESTS, &element) && element.len == 0);
		fake_buffer(queue, 0, REPLY, length, VRING_DESC_F_WRITE);
		notify(&share, REQUESTS);
		CHECK(await(&share, REQUESTS, &element) && element.len == 0);
	}
	begin(&share);
	tear_down();
}

static void a_reset_ends_the_session(void)
{
	const struct fuse_getattr_in getattr = { 0 };
	uint64_t node;

	set_up();
	make_file(&share, "file", 1);
	begin(&share);
	node = look_up(&share, "file");
	CHECK(node != 0);
	bring_up(&share);
	CHECK(ask(&share, FUSE_GETATTR, FUSE_ROOT, &getattr, sizeof(getattr),
		  NULL, 0) == -EPROTO);
	begin(&share);
	CHECK(ask(&share, FUSE_GETATTR, node, &getattr, sizeof(getattr), NULL,
		  0) == -ESTALE);
	CHECK(look_up(&share, "file") != node);
	tear_down();
}

/* Many at once, in any order; each is answered once. */
static void many_requests_are_served_at_once(void)
{
	enum { TOTAL = 5000, SLOTS = SIZE / 2 };
	const struct fuse_getattr_in getattr = { 0 };
	uint32_t sent = 0;
	uint32_t answered = 0;
	uint32_t wrong = 0;

	set_up();
	begin(&share);
	for (; sent < SLOTS; sent++)
		offer(&share, sent, FUSE_GETATTR, FUSE_ROOT, &getattr,
		      sizeof(getattr), REPLY + sent * PAGE, 200);
	while (answered < TOTAL) {
		struct vring_used_elem element;
		struct fuse_out_header answer;
		uint32_t slot;

		if (!await(&share, REQUESTS, &element))
			exit(2);
		slot = element.id / 2;
		memcpy(&answer, guest(REPLY + slot * PAGE), sizeof(answer));
		wrong += element.len != 120 || answer.len != 120 ||
			 answer.error != 0;
		answered++;
		if (sent < TOTAL) {
			offer(&share, slot, FUSE_GETATTR, FUSE_ROOT, &getattr,
			      sizeof(getattr), REPLY + slot * PAGE, 200);
			sent++;
		}
	}
	CHECK(wrong == 0);
	CHECK(virtio_fs_requests(share.device) == TOTAL + 1);
	tear_down();
}

/* Pages that are not there until they are given: who writes to them waits. */
struct absent {
	int fd;
	uint64_t address;
	uint32_t pages;
};

static bool absent_create(struct absent *absent, uint64_t address,
			  uint32_t pages)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)guest(address),
			   .len = (uint64_t)pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	absent->address = address;
	absent->pages = pages;
	absent->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (absent->fd < 0)
		return false;
	madvise(guest(address), (size_t)pages * PAGE, MADV_DONTNEED);
	return ioctl(absent->fd, UFFDIO_API, &api) == 0 &&
	       ioctl(absent->fd, UFFDIO_REGISTER, &range) == 0;
}

/* Waits until somebody waits for a page. */
static bool absent_awaited(const struct absent *absent)
{
	struct pollfd poll_fd = { .fd = absent->fd, .events = POLLIN };
	struct uffd_msg message;

	return poll(&poll_fd, 1, FAKE_WAIT_MS) == 1 &&
	       read(absent->fd, &message, sizeof(message)) == sizeof(message);
}

static void absent_give(const struct absent *absent)
{
	for (uint32_t i = 0; i < absent->pages; i++) {
		struct uffdio_zeropage page = {
			.range = { .start = (uintptr_t)guest(absent->address +
							     (uint64_t)i *
								     PAGE),
				   .len = PAGE },
		};

		ioctl(absent->fd, UFFDIO_ZEROPAGE, &page);
	}
}

enum { STUCK = 4 }; /* as many as one device may hold up */

/* Starts reads that stay under way, in slots from 1 on. */
static void get_stuck(struct absent *absent, uint32_t count)
{
	struct fuse_read_in read = { .size = 26 };
	uint64_t node = look_up(&share, "file");

	read.fh = open_node(&share, node);
	CHECK(absent_create(absent, REPLY + 64 * PAGE, STUCK));
	for (uint32_t i = 0; i < count; i++) {
		/* The reply begins before the page, so that only data waits. */
		offer(&share, 1 + i, FUSE_READ, node, &read, sizeof(read),
		      absent->address + i * PAGE, 16 + 26);
		CHECK(absent_awaited(absent));
	}
}

static void a_slow_request_holds_up_no_other(void)
{
	struct vring_used_elem element;
	struct absent absent;
	struct share other;

	set_up();
	make_file(&share, "file", 26);
	open_share(&other, 0x20000);
	bring_up(&other);
	begin(&share);
	begin(&other);
	get_stuck(&absent, STUCK - 1);
	CHECK(look_up(&share, "file") != 0);
	absent_give(&absent);
	for (int i = 0; i < STUCK - 1; i++)
		CHECK(await(&share, REQUESTS, &element) &&
		      element.len == 16 + 26);
	close(absent.fd);
	/* Four of one device leave threads to another. */
	get_stuck(&absent, STUCK);
	for (int i = 0; i < 100; i++)
		CHECK(look_up(&other, "none") == 0);
	absent_give(&absent);
	for (int i = 0; i < STUCK; i++)
		CHECK(await(&share, REQUESTS, &element) &&
		      element.len == 16 + 26);
	close(absent.fd);
	close_share(&other);
	tear_down();
}

static void *reset_main(void *argument)
{
	fake_write32(argument, VIRTIO_MMIO_STATUS, 0);
	return NULL;
}

/* When a reset returns nobody writes to the guest's memory any more. */
static void a_reset_waits_for_what_is_under_way(void)
{
	struct absent absent;
	pthread_t thread;

	set_up();
	make_file(&share, "file", 26);
	begin(&share);
	get_stuck(&absent, STUCK);
	CHECK(pthread_create(&thread, NULL, reset_main, share.mmio) == 0);
	absent_give(&absent);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < STUCK; i++)
		CHECK(memcmp((uint8_t *)guest(absent.address + i * PAGE) + 16,
			     "abcdefghijklmnopqrstuvwxyz", 26) == 0);
	close(absent.fd);
	bring_up(&share);
	begin(&share);
	tear_down();
}

static bool has_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(void)
{
	TEST(it_tells_its_tag_and_queues);
	TEST(longest_tags_have_no_end);
	TEST(requests_are_answered);
	TEST(data_goes_straight_through_many_buffers);
	TEST(forgetting_goes_by_its_own_queue);
	TEST(broken_rings_stop_the_device);
	TEST(requests_that_are_none_come_back);
	TEST(a_reset_ends_the_session);
	TEST(many_requests_are_served_at_once);
	if (has_userfaultfd()) {
		TEST(a_slow_request_holds_up_no_other);
		TEST(a_reset_waits_for_what_is_under_way);
	} else {
		TEST_SKIP(a_slow_request_holds_up_no_other,
			  "this user may not use userfaultfd");
		TEST_SKIP(a_reset_waits_for_what_is_under_way,
			  "this user may not use userfaultfd");
	}
	return tap_done();
}
