#include "agent.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_OBJECTS = 8192, NAP_MS = 5 };

static struct object *objects;
static int count, busy, napping;

struct object *find_object(uint32_t ref)
{
    struct object *object = objects;
    while (object != NULL && (object->ref != ref || object->dropped)) object = object->next;
    return object;
}

uint32_t draw_ref(void)
{
    static uint32_t last = AGENT_REFS;
    if (++last == 0) die("out of refs");
    return last;
}

void *add_object(const struct request *request, const struct kind *kind, size_t size)
{
    struct object *object = count < MAX_OBJECTS ? calloc(1, size) : NULL;
    if (object == NULL) {
        if (request != NULL) emit_error(request->ref, EMFILE, PLACE_PATH);
        return NULL;
    }
    object->kind = kind;
    object->ref = request == NULL ? draw_ref() : request->ref;
    object->next = objects;
    objects = object;
    count++;
    return object;
}

void set_pace(struct object *object, enum pace pace)
{
    busy += (pace == BUSY) - (object->pace == BUSY);
    napping += (pace == NAPPING) - (object->pace == NAPPING);
    object->pace = pace;
}

void drop_object(struct object *object)
{
    if (object->dropped) return;
    set_pace(object, IDLE);
    object->dropped = true;
    count--;
    if (object->kind->release != NULL) object->kind->release(object);
}

void each_object(void (*visit)(struct object *object, void *context), void *context)
{
    for (struct object *object = objects; object != NULL; object = object->next)
        if (!object->dropped) visit(object, context);
}

static void step(struct object *object, void *context)
{
    (void)context;
    if (object->pace != IDLE) object->kind->step(object);
}

int run_tasks(void)
{
    if (busy + napping > 0) each_object(step, NULL);
    return busy > 0 ? 0 : napping > 0 ? NAP_MS : -1;
}

void bury_dropped(void)
{
    for (struct object **at = &objects; *at != NULL;) {
        struct object *object = *at;
        if (object->dropped) {
            *at = object->next;
            free(object);
        } else {
            at = &object->next;
        }
    }
}
