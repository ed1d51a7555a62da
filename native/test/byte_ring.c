/* SPDX-License-Identifier: MIT */
#include "byte_ring.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static void push_refuses_what_does_not_fit(void)
{
	struct byte_ring ring;
	uint8_t out[8];

	CHECK(byte_ring_create(&ring, 4) == 0);
	CHECK(byte_ring_push(&ring, (const uint8_t *)"abc", 3) == 3);
	CHECK(byte_ring_push(&ring, (const uint8_t *)"def", 3) == 1);
	CHECK(byte_ring_push(&ring, (const uint8_t *)"x", 1) == 0);
	CHECK(byte_ring_take(&ring, out, 2) == 2 && !memcmp(out, "ab", 2));
	CHECK(byte_ring_push(&ring, (const uint8_t *)"ghi", 3) == 2);
	CHECK(byte_ring_take(&ring, out, 8) == 4 && !memcmp(out, "cdgh", 4));
	CHECK(byte_ring_take(&ring, out, 8) == 0);
	byte_ring_destroy(&ring);
}

static void overwrite_keeps_the_newest(void)
{
	struct byte_ring ring;
	uint8_t out[8];

	CHECK(byte_ring_create(&ring, 4) == 0);
	CHECK(byte_ring_overwrite(&ring, (const uint8_t *)"abc", 3) == 0);
	CHECK(byte_ring_overwrite(&ring, (const uint8_t *)"de", 2) == 1);
	CHECK(byte_ring_overwrite(&ring, (const uint8_t *)"", 0) == 0);
	CHECK(byte_ring_take(&ring, out, 8) == 4 && !memcmp(out, "bcde", 4));
	byte_ring_push(&ring, (const uint8_t *)"zz", 2);
	CHECK(byte_ring_overwrite(&ring, (const uint8_t *)"0123456", 7) == 5);
	CHECK(byte_ring_take(&ring, out, 8) == 4 && !memcmp(out, "3456", 4));
	byte_ring_destroy(&ring);
}

/* The same done slowly: an array that is moved about. */
struct model {
	uint8_t bytes[64];
	uint32_t length;
};

static void model_drop(struct model *model, uint32_t count)
{
	model->length -= count;
	memmove(model->bytes, model->bytes + count, model->length);
}

static void random_use_agrees_with_a_model(void)
{
	struct byte_ring ring;
	struct model model = { 0 };
	uint8_t next = 0;
	const uint32_t capacity = 13;

	CHECK(byte_ring_create(&ring, capacity) == 0);
	srand(1);
	for (int round = 0; round < 100000; round++) {
		uint32_t count = (uint32_t)rand() % 30;
		uint32_t lost = 0;
		uint32_t taken;
		uint8_t data[30];
		uint8_t out[30];

		for (uint32_t i = 0; i < count; i++)
			data[i] = next++;
		switch (rand() % 3) {
		case 0:
			for (uint32_t i = 0; i < count; i++) {
				if (model.length == capacity) {
					model_drop(&model, 1);
					lost++;
				}
				model.bytes[model.length++] = data[i];
			}
			CHECK(byte_ring_overwrite(&ring, data, count) == lost);
			break;
		case 1:
			taken = capacity - model.length;
			taken = taken < count ? taken : count;
			memcpy(model.bytes + model.length, data, taken);
			model.length += taken;
			CHECK(byte_ring_push(&ring, data, count) == taken);
			break;
		default:
			taken = model.length < count ? model.length : count;
			CHECK(byte_ring_take(&ring, out, count) == taken);
			CHECK(!memcmp(out, model.bytes, taken));
			model_drop(&model, taken);
			break;
		}
		CHECK(ring.length == model.length);
	}
	byte_ring_destroy(&ring);
}

int main(void)
{
	TEST(push_refuses_what_does_not_fit);
	TEST(overwrite_keeps_the_newest);
	TEST(random_use_agrees_with_a_model);
	return tap_done();
}
