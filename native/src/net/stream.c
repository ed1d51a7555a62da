/* SPDX-License-Identifier: MIT */
#include "net/stream.h"

#include <string.h>

uint16_t streams_take(struct streams *streams)
{
	uint16_t number = streams->first_free;
	struct stream *stream;

	if (number == 0) {
		if (streams->used == STREAMS_MAX)
			return 0;
		number = ++streams->used;
	}
	stream = streams_at(streams, number);
	streams->first_free = stream->next_free;
	stream->next_free = 0;
	stream->length = 0;
	stream->judged = 0;
	stream->high = 0;
	return number;
}

struct stream *streams_at(struct streams *streams, uint16_t number)
{
	return &streams->list[number - 1];
}

void streams_free(struct streams *streams, uint16_t number)
{
	streams_at(streams, number)->next_free = streams->first_free;
	streams->first_free = number;
}

/* Whether a segment repeats the first count bytes as far as it has them. */
static bool stream_repeats(const struct stream *stream, uint32_t count,
			   uint32_t offset, const struct net_packet *packet)
{
	uint32_t common;

	if (offset >= count)
		return true;
	common = count - offset;
	if (common > packet->payload_length)
		common = packet->payload_length;
	return memcmp(stream->bytes + offset, packet->payload, common) == 0;
}

static void stream_append(struct stream *stream, uint32_t offset,
			  const struct net_packet *packet)
{
	uint32_t known = stream->length - offset;
	uint32_t more;

	if (packet->payload_length <= known)
		return;
	more = packet->payload_length - known;
	if (more > STREAM_BYTES_MAX - stream->length)
		more = STREAM_BYTES_MAX - stream->length;
	memcpy(stream->bytes + stream->length, packet->payload + known, more);
	stream->length += more;
}

/*
 * Whether a segment is where it may be: up to the verdict in order, so that
 * there is one stream; its end at the end, and nothing behind it.
 */
static bool stream_is_in_place(const struct stream *stream, uint32_t offset,
			       bool guest_fin, const struct net_packet *packet)
{
	uint32_t end = offset + packet->payload_length;
	uint32_t high = stream ? stream->high : 0;
	uint32_t next = high + (guest_fin ? 1 : 0);

	/* Numbers wrap: what is behind seems far ahead. */
	if (offset > INT32_MAX)
		return false;
	if (packet->tcp_flags & TCP_FIN && end < high)
		return false;
	if (packet->payload_length > 0 && guest_fin && end > high)
		return false;
	return (stream && stream->judged) || offset <= next;
}

enum stream_result stream_from_guest(struct stream *stream, uint32_t base,
				     bool guest_fin,
				     const struct net_packet *packet)
{
	uint32_t offset = packet->sequence - base;
	uint32_t kept;

	/* The receiver may take an urgent byte out of the stream. */
	if (packet->tcp_flags & TCP_URG)
		return STREAM_CUT;
	if (!stream_is_in_place(stream, offset, guest_fin, packet))
		return STREAM_DROP;
	if (packet->payload_length == 0)
		return STREAM_PASS;
	kept = stream->judged ? stream->judged : stream->length;
	if (!stream_repeats(stream, kept, offset, packet))
		return STREAM_CUT;
	if (offset + packet->payload_length > stream->high)
		stream->high = offset + packet->payload_length;
	if (stream->judged)
		return STREAM_PASS;
	stream_append(stream, offset, packet);
	return STREAM_JUDGE;
}

enum stream_result stream_to_guest(const struct stream *stream, uint32_t base,
				   bool guest_fin,
				   const struct net_packet *packet)
{
	uint32_t offset = packet->acknowledged - base;
	uint32_t high = (stream ? stream->high : 0) + (guest_fin ? 1 : 0);

	if (offset > high)
		return STREAM_CUT;
	if (stream && stream->judged && offset >= stream->judged)
		return STREAM_DONE;
	return STREAM_PASS;
}
