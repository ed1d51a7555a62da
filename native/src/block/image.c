/* SPDX-License-Identifier: MIT */
#include "block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/overlay.h"
#include "error.h"

/* field is that of the disk's description which is at fault. */
static enum capsa_status image_refuse(struct capsa_error *error, uint32_t index,
				      const char *field, int system_errno,
				      const char *operation, const char *path,
				      const char *message)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "disks.%u.%s", index, field);
	return error_set(error, CAPSA_STATUS_DISK_FILE, system_errno, operation,
			 path, name, message);
}

/* Bytes of the file or device, or -errno. */
static int64_t image_measure(int fd, const struct stat *status)
{
	uint64_t size;

	if (S_ISREG(status->st_mode))
		return status->st_size;
	return ioctl(fd, BLKGETSIZE64, &size) < 0 ? -errno : (int64_t)size;
}

/* Whether fd is what the description says; message: what it is instead. */
static bool image_is_as_told(const struct image *image,
			     const struct stat *status, const char **message)
{
	*message = image->block_device
			   ? "it is no block device"
			   : "it is no regular file; a block device needs the "
			     "flag that says so";
	return image->block_device ? S_ISBLK(status->st_mode)
				   : S_ISREG(status->st_mode);
}

static enum capsa_status image_open_file(struct image *image,
					 const struct disk_config *config,
					 uint32_t index,
					 struct capsa_error *error)
{
	int mode = image->read_only || config->overlay ? O_RDONLY : O_RDWR;
	const char *message;
	struct stat status;
	int64_t size;

	/* Without waiting: it may be a pipe that nobody writes to. */
	image->fd = open(config->path, mode | O_CLOEXEC | O_NONBLOCK);
	if (image->fd < 0)
		return image_refuse(error, index, "path", errno, "open",
				    config->path, "it cannot be opened");
	if (fstat(image->fd, &status) < 0)
		return image_refuse(error, index, "path", errno, "fstat",
				    config->path, "it cannot be examined");
	if (!image_is_as_told(image, &status, &message))
		return image_refuse(error, index, "path", 0, "fstat",
				    config->path, message);
	/* From here on it is to wait: io_uring takes the flag at its word. */
	if (fcntl(image->fd, F_SETFL, 0) < 0)
		return error_system(error, errno, "fcntl", config->path);
	size = image_measure(image->fd, &status);
	if (size < 0)
		return image_refuse(error, index, "path", (int)-size,
				    "BLKGETSIZE64", config->path,
				    "its size is not to be had");
	if (size < IMAGE_SECTOR)
		return image_refuse(error, index, "path", 0, "fstat",
				    config->path,
				    "it holds less than a sector of 512 bytes");
	image->size = (uint64_t)size - (uint64_t)size % IMAGE_SECTOR;
	return CAPSA_STATUS_OK;
}

enum capsa_status image_open(struct image *image,
			     const struct disk_config *config, uint32_t index,
			     struct capsa_error *error)
{
	enum capsa_status status;
	int result = 0;

	*image = (struct image) {
		.fd = -1,
		.read_only = config->read_only,
		.block_device = config->block_device,
	};
	status = image_open_file(image, config, index, error);
	if (status == CAPSA_STATUS_OK && config->overlay && !config->read_only)
		result = overlay_create(&image->overlay, config->overlay,
					image->fd, image->size);
	if (result < 0)
		status = image_refuse(error, index, "overlay", -result, "open",
				      config->overlay,
				      "no file for what is written to the disk "
				      "can be made there");
	if (status != CAPSA_STATUS_OK)
		image_close(image);
	return status;
}

void image_close(struct image *image)
{
	overlay_destroy(image->overlay);
	if (image->fd >= 0)
		close(image->fd);
	image->overlay = NULL;
	image->fd = -1;
}

int image_read(const struct image *image, struct file_buffers *buffers,
	       uint64_t offset, uint64_t length)
{
	return image->overlay
		       ? overlay_read(image->overlay, buffers, offset, length)
		       : file_read(image->fd, buffers, offset, length);
}

int image_write(const struct image *image, struct file_buffers *buffers,
		uint64_t offset, uint64_t length, bool durable)
{
	if (image->read_only)
		return -EROFS;
	return image->overlay
		       ? overlay_write(image->overlay, buffers, offset, length)
		       : file_write(image->fd, buffers, offset, length,
				    durable);
}

int image_discard(const struct image *image, uint64_t offset, uint64_t length,
		  bool durable)
{
	int result;

	if (image->read_only)
		return -EROFS;
	if (image->overlay)
		return overlay_discard(image->overlay, offset, length);
	result = file_discard(image->fd, image->block_device, offset, length);
	return result == 0 && durable ? file_flush(image->fd) : result;
}

int image_zero(const struct image *image, uint64_t offset, uint64_t length,
	       bool unmap, bool durable)
{
	int result;

	if (image->read_only)
		return -EROFS;
	if (image->overlay)
		return overlay_zero(image->overlay, offset, length);
	result = file_zero(image->fd, image->block_device, offset, length,
			   unmap);
	return result == 0 && durable ? file_flush(image->fd) : result;
}

int image_flush(const struct image *image)
{
	return image_needs_flush(image) ? file_flush(image->fd) : 0;
}

bool image_needs_flush(const struct image *image)
{
	return !image->read_only && !image->overlay;
}

int image_direct_read(const struct image *image, uint64_t offset,
		      uint64_t length)
{
	return image->overlay
		       ? overlay_direct(image->overlay, false, offset, length)
		       : image->fd;
}

int image_direct_write(const struct image *image, uint64_t offset,
		       uint64_t length)
{
	if (image->read_only)
		return -1;
	return image->overlay
		       ? overlay_direct(image->overlay, true, offset, length)
		       : image->fd;
}
