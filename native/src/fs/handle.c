/* SPDX-License-Identifier: MIT */
#include "fs/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HANDLES_FIRST = 64 };

void fs_handles_create(struct fs_handles *handles, struct fs_inodes *inodes,
		       uint32_t slot_max)
{
	*handles = (struct fs_handles) {
		.inodes = inodes,
		.slot_max = slot_max,
	};
	pthread_mutex_init(&handles->lock, NULL);
}

void fs_handles_destroy(struct fs_handles *handles)
{
	fs_handles_clear(handles);
	free(handles->slots);
	pthread_mutex_destroy(&handles->lock);
}

static uint64_t handles_number(uint32_t index, uint32_t generation)
{
	return (uint64_t)generation << 32 | index;
}

static struct fs_handle_slot *handles_slot(const struct fs_handles *handles,
					   uint64_t number)
{
	return &handles->slots[(uint32_t)number];
}

/* With the lock held: there is a free slot. */
static int handles_grow(struct fs_handles *handles)
{
	uint32_t before = handles->slot_count;
	uint32_t count = before == 0 ? HANDLES_FIRST : 2 * before;
	struct fs_handle_slot *slots;

	if (handles->first_free < before)
		return 0;
	if (count > handles->slot_max)
		count = handles->slot_max;
	if (count <= before)
		return -ENFILE;
	slots = reallocarray(handles->slots, count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = before; i < count; i++)
		slots[i] = (struct fs_handle_slot) { .generation = 1,
						     .next_free = i + 1 };
	handles->slots = slots;
	handles->slot_count = count;
	handles->first_free = before;
	return 0;
}

/* With the lock held. */
static void handles_enter(struct fs_handles *handles, struct fs_handle *handle)
{
	uint32_t index = handles->first_free;
	struct fs_handle_slot *slot = &handles->slots[index];

	handles->first_free = slot->next_free;
	slot->handle = handle;
	handle->number = handles_number(index, slot->generation);
}

int fs_handles_add(struct fs_handles *handles, bool folder,
		   struct fs_handle **out)
{
	struct fs_handle *handle = calloc(1, sizeof(*handle));
	int error;

	if (!handle)
		return -ENOMEM;
	handle->users = 2;
	handle->folder = folder;
	pthread_mutex_lock(&handles->lock);
	error = handles_grow(handles);
	if (error == 0)
		handles_enter(handles, handle);
	pthread_mutex_unlock(&handles->lock);
	if (error < 0) {
		free(handle);
		return error;
	}
	pthread_mutex_init(&handle->lock, NULL);
	*out = handle;
	return 0;
}

void fs_handles_open(struct fs_handles *handles, struct fs_handle *handle,
		     struct fs_inode *inode, int fd)
{
	fs_inodes_hold(handles->inodes, inode);
	pthread_mutex_lock(&handles->lock);
	handle->inode = inode;
	handle->fd = fd;
	pthread_mutex_unlock(&handles->lock);
}

int fs_handles_get(struct fs_handles *handles, uint64_t number, uint64_t id,
		   bool folder, struct fs_handle **out)
{
	struct fs_handle *handle = NULL;
	bool open = false;

	pthread_mutex_lock(&handles->lock);
	if ((uint32_t)number < handles->slot_count)
		handle = handles_slot(handles, number)->handle;
	open = handle && handle->number == number && handle->inode &&
	       handle->inode->id == id && handle->folder == folder;
	if (open)
		handle->users++;
	pthread_mutex_unlock(&handles->lock);
	*out = handle;
	return open ? 0 : -EBADF;
}

void fs_handles_put(struct fs_handles *handles, struct fs_handle *handle)
{
	bool last;

	pthread_mutex_lock(&handles->lock);
	last = --handle->users == 0;
	pthread_mutex_unlock(&handles->lock);
	if (!last)
		return;
	if (handle->inode) {
		close(handle->fd);
		fs_inodes_put(handles->inodes, handle->inode);
	}
	pthread_mutex_destroy(&handle->lock);
	free(handle);
}

void fs_handles_close(struct fs_handles *handles, struct fs_handle *handle)
{
	struct fs_handle_slot *slot;
	bool entered;

	pthread_mutex_lock(&handles->lock);
	slot = handles_slot(handles, handle->number);
	entered = slot->handle == handle;
	if (entered) {
		slot->handle = NULL;
		slot->generation++;
		if (slot->generation == 0)
			slot->generation = 1; /* so that no number is 0 */
		slot->next_free = handles->first_free;
		handles->first_free = (uint32_t)handle->number;
	}
	pthread_mutex_unlock(&handles->lock);
	/* Two may close it at once; the table used it once. */
	if (entered)
		fs_handles_put(handles, handle);
}

void fs_handles_clear(struct fs_handles *handles)
{
	for (uint32_t i = 0; i < handles->slot_count; i++) {
		struct fs_handle *handle = handles->slots[i].handle;

		if (handle)
			fs_handles_close(handles, handle);
	}
}
