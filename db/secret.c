/* Keyed hashes of addresses. The key stands beside the database and not in
 * it: a copy of the database that goes astray tells nobody's address. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "db/internal.h"
#include "db/log.h"

static bool
read_key(const char *path, unsigned char key[SECRET_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, key, SECRET_BYTES);
	close(fd);
	return n == SECRET_BYTES;
}

void
secret_load(struct store *s)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s.key", s->path);
	if (read_key(path, s->secret))
		return;
	/* Without a readable key hashes are good for this process only. */
	if (getrandom(s->secret, SECRET_BYTES, 0) != SECRET_BYTES ||
	    s->mode != STORE_WRITE)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return;
	file_give_to_owner(fd, s->path);
	if (write(fd, s->secret, SECRET_BYTES) != SECRET_BYTES ||
	    fsync(fd) != 0)
		unlink(path);
	close(fd);
}

void
secret_hash(struct store *s, const char *address,
    unsigned char out[ADDRESS_KEY_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char lower[IDENTITY_KEY_BYTES];
	size_t n = 0;
	unsigned len = 0;

	/* case of the local part does not tell people apart in practice */
	for (; address[n] != '\0' && n < sizeof(lower); n++)
		lower[n] = (unsigned char)address[n] < 0x80 ?
		    (char)tolower((unsigned char)address[n]) : address[n];
	memset(digest, 0, sizeof(digest));
	HMAC(EVP_sha256(), s->secret, SECRET_BYTES, (unsigned char *)lower, n,
	    digest, &len);
	memcpy(out, digest, ADDRESS_KEY_BYTES);
}

void
store_address_word(struct store *s, const char *address,
    char out[STORE_WORD_BYTES])
{
	unsigned char key[ADDRESS_KEY_BYTES];

	secret_hash(s, address, key);
	snprintf(out, STORE_WORD_BYTES, "key:");
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(out + 4 + 2 * i, 3, "%02x", key[i]);
}
