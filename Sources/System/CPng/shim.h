// png.h includes setjmp.h, which Swift does not import; the simplified interface that is used here needs nothing of it.
#pragma once
#include <png.h>
