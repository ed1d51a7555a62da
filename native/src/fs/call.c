/* SPDX-License-Identifier: MIT */
#include "fs/call.h"

#include <errno.h>
#include <string.h>

#include "fs/host.h"

static struct fs_cursor cursor_of(const struct iovec *buffers, uint32_t count)
{
	struct fs_cursor cursor = { .buffers = buffers, .count = count };

	for (uint32_t i = 0; i < count; i++)
		cursor.left += buffers[i].iov_len;
	return cursor;
}

/* The next up to length bytes that lie in one buffer; the cursor goes on. */
static struct iovec cursor_part(struct fs_cursor *cursor, size_t length)
{
	struct iovec part = { NULL, 0 };

	while (cursor->count > 0 &&
	       cursor->offset == cursor->buffers->iov_len) {
		cursor->buffers++;
		cursor->count--;
		cursor->offset = 0;
	}
	if (cursor->count == 0)
		return part;
	part.iov_base = (uint8_t *)cursor->buffers->iov_base + cursor->offset;
	part.iov_len = cursor->buffers->iov_len - cursor->offset;
	if (part.iov_len > length)
		part.iov_len = length;
	cursor->offset += part.iov_len;
	cursor->left -= part.iov_len;
	return part;
}

/* Atomically byte by byte: the guest may be writing. */
static void cursor_copy_out(struct fs_cursor *cursor, void *out, size_t length)
{
	uint8_t *copy = out;

	while (length > 0) {
		struct iovec part = cursor_part(cursor, length);
		const uint8_t *shared = part.iov_base;

		for (size_t i = 0; i < part.iov_len; i++)
			*copy++ = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
		length -= part.iov_len;
	}
}

static void cursor_copy_in(struct fs_cursor *cursor, const void *data,
			   size_t length)
{
	const uint8_t *copy = data;

	while (length > 0) {
		struct iovec part = cursor_part(cursor, length);
		uint8_t *shared = part.iov_base;

		for (size_t i = 0; i < part.iov_len; i++)
			__atomic_store_n(&shared[i], *copy++, __ATOMIC_RELAXED);
		length -= part.iov_len;
	}
}

int fs_cursor_vectors(struct fs_cursor *cursor, struct iovec *vectors,
		      size_t length)
{
	int count = 0;

	if (cursor->left < length)
		return -EINVAL;
	while (length > 0) {
		if (count == FS_IO_BUFFERS)
			return -EINVAL;
		vectors[count] = cursor_part(cursor, length);
		length -= vectors[count].iov_len;
		count++;
	}
	return count;
}

int fs_call_begin(struct fs_call *call, const struct iovec *in,
		  uint32_t in_count, const struct iovec *out,
		  uint32_t out_count)
{
	uint64_t length;

	call->in = cursor_of(in, in_count);
	call->out = cursor_of(out, out_count);
	call->header_out = call->out;
	length = call->in.left;
	if (length < sizeof(call->header))
		return -EPROTO;
	cursor_copy_out(&call->in, &call->header, sizeof(call->header));
	if (fs_call_is_answerable(call)) {
		struct iovec skipped[sizeof(struct fuse_out_header)];

		fs_cursor_vectors(&call->out, skipped,
				  sizeof(struct fuse_out_header));
	} else {
		call->out.left = 0;
	}
	call->start_room = call->out.left;
	return call->header.len == length ? 0 : -EINVAL;
}

bool fs_call_is_answerable(const struct fs_call *call)
{
	return call->header_out.left >= sizeof(struct fuse_out_header);
}

int fs_call_take(struct fs_call *call, void *out, size_t length)
{
	if (call->in.left < length)
		return -EINVAL;
	cursor_copy_out(&call->in, out, length);
	return 0;
}

int fs_call_texts(struct fs_call *call, uint32_t count)
{
	size_t length = call->in.left;
	size_t start = 0;

	if (length > FS_TEXT_MAX)
		return -ENAMETOOLONG;
	cursor_copy_out(&call->in, call->text, length);
	call->text[length] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		if (start == length)
			return -EINVAL;
		call->names[i] = call->text + start;
		start += strlen(call->names[i]) + 1;
		/* The last one's NUL may be the one put there just now. */
		if (start > length)
			return -EINVAL;
	}
	return start == length ? 0 : -EINVAL;
}

int fs_call_name(struct fs_call *call)
{
	int error = fs_call_texts(call, 1);

	return error < 0 ? error : fs_name_check(call->names[0]);
}

int fs_call_reply(struct fs_call *call, const void *data, size_t length)
{
	if (call->out.left < length)
		return -ERANGE;
	cursor_copy_in(&call->out, data, length);
	return 0;
}

uint32_t fs_call_end(struct fs_call *call, int error)
{
	const uint64_t replied = call->start_room - call->out.left;
	struct fuse_out_header header = {
		.len = sizeof(header),
		.error = error,
		.unique = call->header.unique,
	};

	if (!fs_call_is_answerable(call))
		return 0;
	if (error == 0)
		header.len += (uint32_t)replied;
	cursor_copy_in(&call->header_out, &header, sizeof(header));
	return header.len;
}
