/*
 * Fuzzes the frame parser and the checks of requests: whatever the bytes, what is decoded lies within them. Built with
 * sanitizers by scripts/fuzz-guest.mjs; without libFuzzer it mutates a corpus of its own:
 *
 *   fuzz-frames SECONDS SEED
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../src/guest/frames.h"

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void check_text(const char *text, const uint8_t *frame, size_t size)
{
    if (text == NULL) return;
    const uint8_t *at = (const uint8_t *)text;
    check(at >= frame && at < frame + size, "a text is outside of its frame");
    check(memchr(at, 0, size - (size_t)(at - frame)) != NULL, "a text has no end in its frame");
}

static size_t check_texts(char **texts, const uint8_t *frame, size_t size)
{
    size_t count = 0;
    for (; texts[count] != NULL; count++) check_text(texts[count], frame, size);
    return count;
}

static void check_request(const struct request *request, const uint8_t *frame, size_t size)
{
    check(request->kind > 0 && request->kind < REQUEST_KINDS, "an unknown kind was taken");
    check(request->data >= frame && request->data + request->size <= frame + size, "data is outside of its frame");
    if (request->kind == DATA) return;
    size_t words = request->number[SPAWN_WORDS], count = check_texts(request->text, frame, size);
    if (request->kind != SPAWN) return check(count <= 2, "there are more texts than may be");
    check(count == words + 1 && words > 0, "there are more words, or fewer, than were said");
    count += check_texts(request->text + count + 1, frame, size);
    check(count <= MAX_TEXTS + 2, "there are more texts than may be");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* On the heap and of this very size: the sanitizer sees each byte beyond. */
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    memcpy(bytes, data, size);
    for (size_t at = 0; at < size;) {
        long length = frame_size(bytes + at, size - at);
        if (length <= 0) break;
        check((size_t)length >= HEADER && (size_t)length <= size - at && length <= MAX_FRAME, "a frame is too long");
        uint8_t *frame = malloc((size_t)length);
        memcpy(frame, bytes + at, (size_t)length);
        struct request request;
        if (decode_request(frame, (size_t)length, &request)) check_request(&request, frame, (size_t)length);
        free(frame);
        at += (size_t)length;
    }
    free(bytes);
    return 0;
}

#ifndef LIBFUZZER
enum { MOST = MAX_FRAME };

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

/* A frame of that kind that is right, or nearly. */
static size_t make_frame(uint8_t *at, uint8_t kind)
{
#define BODY(kind, body, handler) [kind] = body,
    static const char *const bodies[REQUEST_KINDS] = {REQUESTS(BODY)};
    uint8_t *body = at + HEADER, *end = body;
    uint32_t words = draw(5), texts = 0;
    for (const char *type = bodies[kind]; *type != 0; type++) {
        bool counts = kind == SPAWN && type[1] == 'T';
        if (*type == 't') texts++;
        if (*type == 'T') texts = 1 + words + draw(5);
        if (*type == 'd') end += draw(200);
        if (counts) end = write_number(end, draw(50) == 0 ? draw(UINT32_MAX) : words, 4);
        for (int i = *type == 'c' ? 4 : *type >= '1' && *type <= '8' && !counts ? *type - '0' : 0; i > 0; i--)
            *end++ = (uint8_t)draw(256);
    }
    for (; texts > 0; texts--) {
        for (uint32_t i = draw(12); i > 0; i--) *end++ = (uint8_t)(1 + draw(255));
        if (draw(100) > 0) *end++ = 0;
    }
    write_number(write_number(write_number(at, (uint64_t)(end - at) - 4, 4), kind, 1), draw(100), 4);
    return (size_t)(end - at);
}

/* About as many texts as there may be. */
static size_t make_crowd(uint8_t *bytes)
{
    size_t before = HEADER + 13, count = MAX_TEXTS - 10 + draw(20);
    memset(bytes, 0, before + count);
    write_number(write_number(bytes, before + count - 4, 4), SPAWN, 1);
    write_number(bytes + before - 4, draw((uint32_t)count), 4);
    return before + count;
}

static size_t make_input(uint8_t *bytes)
{
    size_t size = 0;
    if (draw(5000) == 0) return make_crowd(bytes);
    for (uint32_t frames = 1 + draw(5); frames > 0; frames--)
        size += make_frame(bytes + size, (uint8_t)(1 + draw(REQUEST_KINDS - 1)));
    for (uint32_t changes = draw(2) == 0 ? 0 : draw(6); changes > 0 && size > 0; changes--) {
        uint32_t at = draw((uint32_t)size);
        switch (draw(4)) {
        case 0: bytes[at] = (uint8_t)draw(256); break;
        case 1: bytes[at] ^= (uint8_t)(1u << draw(8)); break;
        case 2: size = at; break;
        default: memset(bytes + at, draw(2) == 0 ? 0xff : 0, size - at < 4 ? size - at : 4);
        }
    }
    return size;
}

int main(int count, char **arguments)
{
    if (count != 3) return 2;
    state = strtoull(arguments[2], NULL, 10) * 2654435761u + 88172645463325252u;
    time_t end = time(NULL) + atoi(arguments[1]);
    unsigned long long runs = 0;
    static uint8_t bytes[MOST];
    for (; time(NULL) <= end; runs++) LLVMFuzzerTestOneInput(bytes, make_input(bytes));
    printf("%llu inputs, none broke the frame parser\n", runs);
    return 0;
}
#endif
