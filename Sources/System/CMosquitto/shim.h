#pragma once
#include <mosquitto.h>
#include <mqtt_protocol.h>
// Swift's import of glibc does not have it.
#include <sys/eventfd.h>
#include <sys/prctl.h>

/// The name of the calling thread in process lists, at most 15 bytes. prctl(2) is variadic, which Swift does not import.
static inline int haechi_name_this_thread(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
