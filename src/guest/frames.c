#include "frames.h"

#include <string.h>

/* Of each body: f flags, 1 2 4 8 a number of so many bytes, t a text, v texts, d whatever is left. */
static const char *const bodies[REQUEST_KINDS] = {
    [SPAWN] = "f2244tvv", [DATA] = "d",      [END] = "",         [CREDIT] = "4",       [CLOSE] = "",
    [RESIZE] = "22",      [KILL] = "41",     [STAT] = "ft",      [LIST] = "4t",        [MKDIR] = "2t",
    [REMOVE] = "ft",      [RENAME] = "tt",   [READ] = "884t",    [WRITE] = "f2t",      [REALPATH] = "ft",
    [WATCH] = "44t",      [WATCH_MORE] = "44t", [UNWATCH] = "44", [CONNECT] = "24",    [LISTEN] = "24",
    [DISCARD] = "f",
};

struct cursor {
    uint8_t *at, *end;
    char **vector;
    size_t vector_left;
};

/* Both vectors of a Spawn, each with its NULL. */
static char *vectors[MAX_TEXTS + 2];

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

static bool take_number(struct cursor *cursor, size_t width, uint64_t *value) {
    if ((size_t)(cursor->end - cursor->at) < width) return false;
    *value = read_number(cursor->at, width);
    cursor->at += width;
    return true;
}

static bool take_text(struct cursor *cursor, char **text) {
    uint8_t *end = memchr(cursor->at, 0, (size_t)(cursor->end - cursor->at));
    if (end == NULL) return false;
    *text = (char *)cursor->at;
    cursor->at = end + 1;
    return true;
}

static bool take_texts(struct cursor *cursor, char ***texts) {
    uint64_t count;
    if (!take_number(cursor, 4, &count) || count > cursor->vector_left) return false;
    *texts = cursor->vector;
    cursor->vector += count + 1;
    cursor->vector_left -= count;
    for (uint64_t i = 0; i < count; i++)
        if (!take_text(cursor, &(*texts)[i])) return false;
    (*texts)[count] = NULL;
    return true;
}

static bool take_field(char type, struct cursor *cursor, struct request *request, size_t *numbers, size_t *texts) {
    uint64_t flags;
    switch (type) {
    case 'f':
        if (!take_number(cursor, 1, &flags)) return false;
        request->flags = (uint8_t)flags;
        return true;
    case 't':
        return take_text(cursor, &request->text[(*texts)++]);
    case 'v':
        return take_texts(cursor, request->argv == NULL ? &request->argv : &request->environment);
    case 'd':
        request->data = cursor->at;
        request->size = (size_t)(cursor->end - cursor->at);
        cursor->at = cursor->end;
        return true;
    default:
        return take_number(cursor, (size_t)(type - '0'), &request->number[(*numbers)++]);
    }
}

bool decode_request(uint8_t *frame, size_t size, struct request *request) {
    *request = (struct request){.kind = frame[4], .ref = (uint32_t)read_number(frame + 5, 4)};
    if (request->kind == 0 || request->kind >= REQUEST_KINDS) return false;
    struct cursor cursor = {frame + HEADER, frame + size, vectors, MAX_TEXTS};
    size_t numbers = 0, texts = 0;
    for (const char *type = bodies[request->kind]; *type != 0; type++)
        if (!take_field(*type, &cursor, request, &numbers, &texts)) return false;
    return cursor.at == cursor.end;
}
