/* SPDX-License-Identifier: MIT */
#include "fs/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Spreads numbers that differ in any bits over all of the result's. */
static uint64_t table_mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	return value;
}

static struct fs_inode **table_id_chain(const struct fs_inodes *inodes,
					uint64_t id)
{
	return &inodes->buckets[table_mix(id) & (inodes->bucket_count - 1)]
			.by_id;
}

static struct fs_inode **table_key_chain(const struct fs_inodes *inodes,
					 const struct fs_key *key)
{
	uint64_t hash = table_mix(key->number ^ table_mix(key->device));

	return &inodes->buckets[hash & (inodes->bucket_count - 1)].by_key;
}

static void table_link(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_inode **by_id = table_id_chain(inodes, inode->id);
	struct fs_inode **by_key = table_key_chain(inodes, &inode->key);

	inode->next_by_id = *by_id;
	*by_id = inode;
	inode->next_by_key = *by_key;
	*by_key = inode;
}

static void table_unlink(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_inode **by_id = table_id_chain(inodes, inode->id);
	struct fs_inode **by_key = table_key_chain(inodes, &inode->key);

	while (*by_id != inode)
		by_id = &(*by_id)->next_by_id;
	*by_id = inode->next_by_id;
	while (*by_key != inode)
		by_key = &(*by_key)->next_by_key;
	*by_key = inode->next_by_key;
}

int fs_table_resize(struct fs_inodes *inodes, uint32_t count)
{
	uint32_t before = inodes->bucket_count;
	struct fs_bucket *old = inodes->buckets;
	struct fs_bucket *buckets = calloc(count, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	inodes->buckets = buckets;
	inodes->bucket_count = count;
	for (uint32_t i = 0; i < before; i++) {
		while (old[i].by_id) {
			struct fs_inode *inode = old[i].by_id;

			old[i].by_id = inode->next_by_id;
			table_link(inodes, inode);
		}
	}
	free(old);
	return 0;
}

void fs_table_unlock(struct fs_inodes *inodes, struct fs_garbage *garbage)
{
	pthread_mutex_unlock(&inodes->lock);
	if (garbage->fd >= 0)
		close(garbage->fd);
	while (garbage->inodes) {
		struct fs_inode *inode = garbage->inodes;

		garbage->inodes = inode->next_by_id;
		if (inode->fd >= 0)
			close(inode->fd);
		free(inode->name);
		free(inode);
	}
}

struct fs_inode *fs_table_by_id(const struct fs_inodes *inodes, uint64_t id)
{
	struct fs_inode *inode = *table_id_chain(inodes, id);

	while (inode && inode->id != id)
		inode = inode->next_by_id;
	return inode;
}

static bool table_same_number(const struct fs_key *one,
			      const struct fs_key *other)
{
	return one->number == other->number && one->device == other->device &&
	       one->mount == other->mount && one->type == other->type;
}

bool fs_table_same(const struct fs_key *one, const struct fs_key *other)
{
	return table_same_number(one, other) && one->birth == other->birth &&
	       one->birth_ns == other->birth_ns;
}

struct fs_inode *fs_table_by_key(struct fs_inodes *inodes,
				 const struct fs_key *key)
{
	struct fs_inode *inode = *table_key_chain(inodes, key);

	for (; inode; inode = inode->next_by_key) {
		if (fs_table_same(&inode->key, key))
			return inode;
		if (inode->fd >= 0 && table_same_number(&inode->key, key)) {
			inode->key.birth = key->birth;
			inode->key.birth_ns = key->birth_ns;
			return inode;
		}
	}
	return NULL;
}

static struct fs_idle *table_idle(struct fs_inodes *inodes,
				  const struct fs_inode *inode)
{
	return inode->parent ? &inodes->named : &inodes->nameless;
}

static bool table_is_idle(const struct fs_inode *inode)
{
	return inode->fd >= 0 && inode->users == 0;
}

static void table_idle_add(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_idle *idle = table_idle(inodes, inode);

	inode->newer = NULL;
	inode->older = idle->newest;
	if (idle->newest)
		idle->newest->newer = inode;
	else
		idle->oldest = inode;
	idle->newest = inode;
}

static void table_idle_remove(struct fs_inodes *inodes, struct fs_inode *inode)
{
	struct fs_idle *idle = table_idle(inodes, inode);

	if (inode->older)
		inode->older->newer = inode->newer;
	else
		idle->oldest = inode->newer;
	if (inode->newer)
		inode->newer->older = inode->older;
	else
		idle->newest = inode->older;
}

/* Frees an inode that nobody needs, and then the parents it alone needed. */
static void table_release(struct fs_inodes *inodes, struct fs_inode *inode,
			  struct fs_garbage *garbage)
{
	while (inode && inode->lookups == 0 && inode->users == 0 &&
	       inode->children == 0) {
		struct fs_inode *parent = inode->parent;

		if (inode->fd >= 0) {
			table_idle_remove(inodes, inode);
			inodes->fds--;
		}
		table_unlink(inodes, inode);
		inodes->count--;
		inode->next_by_id = garbage->inodes;
		garbage->inodes = inode;
		if (parent)
			parent->children--;
		inode = parent;
	}
}

int fs_table_add(struct fs_inodes *inodes, const struct fs_key *key,
		 struct fs_inode **out)
{
	struct fs_inode *inode;

	if (inodes->count >= inodes->count_max)
		return -ENFILE;
	inode = calloc(1, sizeof(*inode));
	if (!inode)
		return -ENOMEM;
	/* Without memory for more it only is slow. */
	if (inodes->count >= inodes->bucket_count &&
	    inodes->bucket_count <= 1u << 30)
		(void)fs_table_resize(inodes, 2 * inodes->bucket_count);
	inode->id = inodes->next_id++;
	inode->key = *key;
	inode->users = 1;
	inode->fd = -1;
	table_link(inodes, inode);
	inodes->count++;
	*out = inode;
	return 0;
}

void fs_table_use(struct fs_inodes *inodes, struct fs_inode *inode)
{
	if (table_is_idle(inode))
		table_idle_remove(inodes, inode);
	inode->users++;
}

void fs_table_unuse(struct fs_inodes *inodes, struct fs_inode *inode,
		    struct fs_garbage *garbage)
{
	inode->users--;
	if (table_is_idle(inode))
		table_idle_add(inodes, inode);
	table_release(inodes, inode, garbage);
	if (inodes->fds > inodes->fds_max && garbage->fd < 0)
		garbage->fd = fs_table_evict(inodes);
}

void fs_table_give(struct fs_inodes *inodes, struct fs_inode *inode, int fd,
		   struct fs_garbage *garbage)
{
	if (inode->fd >= 0) {
		garbage->fd = fd;
		return;
	}
	inode->fd = fd;
	inodes->fds++;
}

/* Also where that is too far to see. */
static bool table_is_above(const struct fs_inode *inode,
			   const struct fs_inode *other)
{
	for (uint32_t i = 0; i < FS_DEPTH_MAX; i++) {
		if (other == inode)
			return true;
		if (!other)
			return false;
		other = other->parent;
	}
	return true;
}

void fs_table_name(struct fs_inodes *inodes, struct fs_inode *inode,
		   struct fs_inode *parent, const char *name,
		   struct fs_garbage *garbage)
{
	struct fs_inode *before = inode->parent;
	char *copy = NULL;

	if (before && before == parent && strcmp(inode->name, name) == 0)
		return;
	if (parent && inode != inodes->root && inode != parent &&
	    !(inode->children > 0 && table_is_above(inode, parent)))
		copy = strdup(name);
	free(inode->name);
	inode->name = copy;
	inode->parent = copy ? parent : NULL;
	if (copy)
		parent->children++;
	if (before) {
		before->children--;
		table_release(inodes, before, garbage);
	}
}

int fs_table_evict(struct fs_inodes *inodes)
{
	struct fs_inode *inode = inodes->named.oldest;
	int fd;

	if (!inode)
		inode = inodes->nameless.oldest;
	if (!inode)
		return -1;
	table_idle_remove(inodes, inode);
	fd = inode->fd;
	inode->fd = -1;
	inodes->fds--;
	return fd;
}

void fs_table_clear(struct fs_inodes *inodes)
{
	for (uint32_t i = 0; i < inodes->bucket_count; i++) {
		struct fs_inode *next;

		for (struct fs_inode *inode = inodes->buckets[i].by_id; inode;
		     inode = next) {
			next = inode->next_by_id;
			if (inode == inodes->root)
				continue;
			if (inode->fd >= 0)
				close(inode->fd);
			free(inode->name);
			free(inode);
		}
		inodes->buckets[i] = (struct fs_bucket) { NULL, NULL };
	}
	inodes->named = (struct fs_idle) { NULL, NULL };
	inodes->nameless = (struct fs_idle) { NULL, NULL };
	inodes->root->children = 0;
	inodes->root->lookups = 1;
	inodes->count = 1;
	inodes->fds = 1;
	table_link(inodes, inodes->root);
}
