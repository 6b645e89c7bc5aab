#include "frames.h"

#include <string.h>

#define ROW_BODY(kind, body, handler) [kind] = body,
static const char *const bodies[REQUEST_KINDS] = {REQUESTS(ROW_BODY)};

uint64_t read_number(const uint8_t *bytes, size_t width) {
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

uint8_t *write_number(uint8_t *bytes, uint64_t value, size_t width) {
    for (size_t i = 0; i < width; i++, value >>= 8) bytes[i] = (uint8_t)value;
    return bytes + width;
}

long frame_size(const uint8_t *bytes, size_t size) {
    if (size < 4) return 0;
    uint64_t length = read_number(bytes, 4);
    if (length < HEADER - 4 || length > MAX_FRAME - 4) return -1;
    return size - 4 < length ? 0 : (long)length + 4;
}

bool decode_request(uint8_t *frame, size_t size, struct request *request) {
    static char *texts[MAX_TEXTS + 4];
    uint8_t *at = frame + HEADER, *end = frame + size;
    *request = (struct request){.kind = frame[4], .ref = (uint32_t)read_number(frame + 5, 4), .text = texts};
    if (request->kind == NO_REQUEST || request->kind >= REQUEST_KINDS) return false;
    const char *field = bodies[request->kind];
    for (size_t width, numbers = 0; *field == 'c' || (*field >= '1' && *field <= '8'); field++, at += width) {
        width = *field == 'c' ? 4 : (size_t)(*field - '0');
        if ((size_t)(end - at) < width) return false;
        if (*field == 'c') request->credit = (uint32_t)read_number(at, width);
        else request->number[numbers++] = read_number(at, width);
    }
    request->data = at;
    request->size = (size_t)(end - at);
    if (*field == 'd') return true;
    size_t count = 0, words = *field == 'T' ? (size_t)request->number[SPAWN_WORDS] : SIZE_MAX;
    for (uint8_t *nul; at < end; at = nul + 1) {
        nul = memchr(at, 0, (size_t)(end - at));
        if (nul == NULL || count > MAX_TEXTS + 1) return false;
        texts[count++] = (char *)at;
        /* Behind the directory and the words: what follows is the environment. */
        if (count - 1 == words) texts[count++] = NULL;
    }
    texts[count] = NULL;
    return *field == 'T' ? words > 0 && count > words + 1 : count == strlen(field);
}
