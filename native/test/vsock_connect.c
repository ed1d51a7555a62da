/* SPDX-License-Identifier: MIT */
/* How vsock connections begin, and how they are refused. */
#include <sys/stat.h>

#include "fake_vsock.h"

enum { GUEST = 1234, HOST = 77 };

static uint32_t connections(void)
{
	return vsock_hub_counts(hub).connections;
}

static void the_host_connects(void)
{
	uint32_t port;
	int fd;

	set_up();
	fd = connected(GUEST, &port);
	CHECK(port != UINT32_MAX && port >= 0x40000000);
	CHECK(connections() == 1);
	CHECK(host_says(fd, "ping"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, GUEST));
	CHECK(heard.header.len == 4 && memcmp(heard.data, "ping", 4) == 0);
	say_data(port, GUEST, "pong", 4);
	CHECK(host_reads(fd, "pong"));
	close(fd);
	tear_down();
}

static void the_guest_connects(void)
{
	int listener;
	int fd;

	set_up();
	listener = host_listen(HOST);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, HOST, GUEST));
	CHECK(heard.header.buf_alloc > 0 && heard.header.fwd_cnt == 0);
	fd = host_accept(listener);
	CHECK(fd >= 0);
	say_data(HOST, GUEST, "hello", 5);
	CHECK(host_reads(fd, "hello"));
	CHECK(host_says(fd, "you"));
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, HOST, GUEST));
	CHECK(heard.header.len == 3);
	close(fd);
	host_unlisten(listener, HOST);
	tear_down();
}

/* The guest's data may come before the host's program has accepted. */
static void what_the_guest_says_early_waits(void)
{
	int listener;
	int fd;

	set_up();
	listener = host_listen(HOST);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	say_data(HOST, GUEST, "early", 5);
	fd = host_accept(listener);
	CHECK(host_reads(fd, "early"));
	close(fd);
	host_unlisten(listener, HOST);
	tear_down();
}

static void where_nobody_listens_the_guest_is_refused(void)
{
	char path[108];
	int left;

	set_up();
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, HOST, GUEST));
	/* One that has gone and left its path. */
	left = host_listen(HOST);
	close(left);
	say_op(VIRTIO_VSOCK_OP_REQUEST, HOST, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, HOST, GUEST));
	CHECK(connections() == 0);
	(void)snprintf(path, sizeof(path), "%s_%u", fake_path, HOST);
	unlink(path);
	tear_down();
}

static void what_the_guest_refuses_is_told(void)
{
	int fd;

	set_up();
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	CHECK(host_reads_nothing(fd));
	say_op(VIRTIO_VSOCK_OP_RST, heard.header.src_port, GUEST);
	CHECK(host_reads(fd, "ERR ECONNREFUSED\n"));
	CHECK(host_reads_end(fd));
	CHECK(connections() == 0);
	close(fd);
	tear_down();
}

static void is_refused(const char *line)
{
	int fd;

	set_up();
	fd = host_connect();
	CHECK(host_says(fd, line));
	CHECK(host_reads(fd, "ERR EINVAL\n"));
	CHECK(host_reads_end(fd));
	CHECK(hear_nothing());
	CHECK(connections() == 0);
	close(fd);
	tear_down();
}

static void lines_that_are_wrong_are_refused(void)
{
	is_refused("\n");
	is_refused("CONNECT \n");
	is_refused("CONNECT -1\n");
	is_refused("CONNECT 1 \n");
	is_refused("CONNECT 0x1\n");
	is_refused("connect 1\n");
	is_refused("CONNECT 4294967295\n");
	is_refused("CONNECT 4294967296\n");
	is_refused("CONNECT 99999999999999\n");
	is_refused("CONNECT 1234\r\n");
	is_refused("GET / HTTP/1.1 and so on and so on\r\n");
	is_refused("CONNECT 0000000000000000000000000000001\n");
}

static void lines_come_in_pieces(void)
{
	const char line[] = "CONNECT 4294967294\nrest";
	uint32_t port;
	int fd;

	set_up();
	fd = host_connect();
	for (size_t i = 0; i < strlen(line); i++) {
		CHECK(host_writes(fd, line + i, 1));
		turns();
	}
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	CHECK(heard.header.dst_port == UINT32_MAX - 1);
	port = heard.header.src_port;
	CHECK(hear_nothing());
	say_op(VIRTIO_VSOCK_OP_RESPONSE, port, UINT32_MAX - 1);
	/* What was behind the line is for the guest. */
	CHECK(hear_op(VIRTIO_VSOCK_OP_RW, port, UINT32_MAX - 1));
	CHECK(heard.header.len == 4 && memcmp(heard.data, "rest", 4) == 0);
	close(fd);
	tear_down();
}

static void who_goes_before_the_answer_is_forgotten(void)
{
	uint32_t port;
	int fd;

	set_up();
	/* Without a word. */
	fd = host_connect();
	turns();
	CHECK(connections() == 1);
	close(fd);
	turns();
	CHECK(connections() == 0);
	/* In the middle of the line. */
	fd = host_connect();
	CHECK(host_says(fd, "CONN"));
	turns();
	close(fd);
	turns();
	CHECK(connections() == 0);
	/* Before the guest was asked. */
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	turns();
	CHECK(vsock_hub_has_packet(hub));
	close(fd);
	CHECK(hear_nothing());
	CHECK(connections() == 0);
	/* After the guest was asked. */
	fd = host_connect();
	CHECK(host_says(fd, "CONNECT 1234\n"));
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	port = heard.header.src_port;
	close(fd);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	CHECK(connections() == 0);
	/* An answer that comes too late. */
	say_op(VIRTIO_VSOCK_OP_RESPONSE, port, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RST, port, GUEST));
	tear_down();
}

static void waiting_is_limited(void)
{
	uint32_t port;
	int silent;
	int asking;

	set_up_patient(1);
	silent = host_connect();
	await_turn();
	while (connections() > 0)
		await_turn();
	CHECK(host_reads(silent, "ERR ETIMEDOUT\n"));
	asking = host_connect();
	CHECK(host_says(asking, "CONNECT 1234\n"));
	await_turn();
	/* The time may be up already: then the guest never hears of it. */
	if (hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST) {
		port = heard.header.src_port;
		while (!hear())
			await_turn();
		CHECK(heard.header.op == VIRTIO_VSOCK_OP_RST &&
		      heard.header.src_port == port);
	}
	CHECK(host_reads(asking, "ERR ETIMEDOUT\n"));
	CHECK(connections() == 0);
	close(silent);
	close(asking);
	tear_down();
}

/* The guest's ports and ours may be the same, the pairs never. */
static void pairs_of_ports_are_unique(void)
{
	uint32_t first;
	uint32_t second;
	int listener;
	int fds[3];

	set_up();
	fds[0] = connected(GUEST, &first);
	/* The guest takes the pair that would be next. */
	listener = host_listen(first + 1);
	say_op(VIRTIO_VSOCK_OP_REQUEST, first + 1, GUEST);
	CHECK(hear_op(VIRTIO_VSOCK_OP_RESPONSE, first + 1, GUEST));
	fds[1] = host_accept(listener);
	fds[2] = connected(GUEST, &second);
	CHECK(second != first && second != first + 1);
	say_data(first + 1, GUEST, "b", 1);
	say_data(second, GUEST, "c", 1);
	say_data(first, GUEST, "a", 1);
	CHECK(host_reads(fds[0], "a"));
	CHECK(host_reads(fds[1], "b"));
	CHECK(host_reads(fds[2], "c"));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	host_unlisten(listener, first + 1);
	tear_down();
}

static void before_the_start_programs_wait(void)
{
	const struct vsock_config config = { .path = fake_path,
					     .guest_cid = FAKE_CID,
					     .patience_ms = FAKE_PATIENCE_MS };
	int fds[50];

	fake_make_path();
	CHECK(vsock_hub_create(&hub, &config) == 0);
	for (int i = 0; i < 50; i++) {
		fds[i] = host_connect();
		CHECK(host_says(fds[i], "CONNECT 1234\n"));
	}
	CHECK(turns() == 0 && hear_nothing());
	vsock_hub_start(hub);
	for (int i = 0; i < 50; i++) {
		CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
		say_op(VIRTIO_VSOCK_OP_RESPONSE, heard.header.src_port, GUEST);
	}
	for (int i = 0; i < 50; i++) {
		char answer[32] = { 0 };

		CHECK(read(fds[i], answer, sizeof(answer)) > 0 &&
		      strncmp(answer, "OK ", 3) == 0);
		close(fds[i]);
	}
	tear_down();
}

static void a_rest_ends_all(void)
{
	uint32_t port;
	int open;
	int silent;
	int asking;

	set_up();
	open = connected(GUEST, &port);
	silent = host_connect();
	asking = host_connect();
	CHECK(host_says(asking, "CONNECT 5\n"));
	CHECK(hear() && heard.header.op == VIRTIO_VSOCK_OP_REQUEST);
	say_op(VIRTIO_VSOCK_OP_RST, 1, 2);
	say_op(VIRTIO_VSOCK_OP_RW, 1, 2);
	vsock_hub_rest(hub);
	CHECK(connections() == 0 && hear_nothing());
	CHECK(host_reads_end(open));
	CHECK(host_reads(silent, "ERR ECONNRESET\n"));
	CHECK(host_reads(asking, "ERR ECONNRESET\n"));
	close(open);
	close(silent);
	close(asking);
	/* The next driver begins anew. */
	vsock_hub_start(hub);
	close(connected(GUEST, &port));
	tear_down();
}

static void after_the_end_nobody_is_there(void)
{
	struct sockaddr_un address;
	uint32_t port;
	int open;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	set_up();
	open = connected(GUEST, &port);
	address = fake_address(fake_path);
	vsock_hub_end(hub);
	vsock_hub_end(hub);
	CHECK(host_reads_end(open));
	CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
	      errno == ENOENT);
	close(fd);
	close(open);
	tear_down();
}

static int listens(const char *path)
{
	const struct vsock_config config = { .path = path,
					     .guest_cid = FAKE_CID,
					     .patience_ms = 1 };
	struct vsock_hub *other;
	int result = vsock_hub_create(&other, &config);

	if (result == 0)
		vsock_hub_destroy(other);
	return result;
}

static void a_path_that_is_taken_is_refused(void)
{
	char path[128];
	struct stat status;
	FILE *file;

	set_up();
	CHECK(stat(fake_path, &status) == 0 && (status.st_mode & 0777) == 0600);
	CHECK(listens(fake_path) == -EADDRINUSE);
	turns();
	(void)snprintf(path, sizeof(path), "%s/file", fake_folder);
	file = fopen(path, "w");
	CHECK(file && fclose(file) == 0);
	CHECK(listens(path) == -EADDRINUSE);
	CHECK(access(path, F_OK) == 0);
	unlink(path);
	CHECK(symlink("nowhere", path) == 0);
	CHECK(listens(path) == -EADDRINUSE);
	unlink(path);
	(void)snprintf(path, sizeof(path), "%s/no/folder", fake_folder);
	CHECK(listens(path) == -ENOENT);
	memset(path, 'x', 97);
	path[97] = '\0';
	CHECK(listens(path) == -ENAMETOOLONG);
	tear_down();
}

/* What a process that was killed has left. */
static void a_path_that_was_left_is_taken_over(void)
{
	struct sockaddr_un address;
	int left = socket(AF_UNIX, SOCK_STREAM, 0);
	uint32_t port;

	fake_make_path();
	address = fake_address(fake_path);
	CHECK(bind(left, (struct sockaddr *)&address, sizeof(address)) == 0);
	close(left);
	CHECK(listens(fake_path) == 0);
	CHECK(access(fake_path, F_OK) != 0);
	rmdir(fake_folder);
	set_up();
	close(connected(GUEST, &port));
	tear_down();
}

int main(void)
{
	TEST(the_host_connects);
	TEST(the_guest_connects);
	TEST(what_the_guest_says_early_waits);
	TEST(where_nobody_listens_the_guest_is_refused);
	TEST(what_the_guest_refuses_is_told);
	TEST(lines_that_are_wrong_are_refused);
	TEST(lines_come_in_pieces);
	TEST(who_goes_before_the_answer_is_forgotten);
	TEST(waiting_is_limited);
	TEST(pairs_of_ports_are_unique);
	TEST(before_the_start_programs_wait);
	TEST(a_rest_ends_all);
	TEST(after_the_end_nobody_is_there);
	TEST(a_path_that_is_taken_is_refused);
	TEST(a_path_that_was_left_is_taken_over);
	return tap_done();
}
