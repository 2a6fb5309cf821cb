/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The shim between C test bodies (qtest.h) and GoogleTest. */
#include "qtest.h"

#include <cstdarg>
#include <cstdio>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

namespace
{
struct Body {
	const char *suite;
	const char *name;
	const char *file;
	int line;
	void (*fn)(void);
};

std::vector<Body> &bodies()
{
	static std::vector<Body> all;
	return all;
}

class Case : public testing::Test
{
      public:
	explicit Case(void (*fn)(void)) : fn_(fn)
	{
	}
	void TestBody() override
	{
		fn_();
	}

      private:
	void (*fn_)(void);
};
} // namespace

extern "C" void qtest_register(const char *suite, const char *name, const char *file, int line,
			       void (*fn)(void))
{
	bodies().push_back(Body{ suite, name, file, line, fn });
}

extern "C" void qtest_fail(const char *file, int line, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ADD_FAILURE_AT(file, line) << text;
}

extern "C" void qtest_skip(const char *file, int line, const char *reason)
{
	printf("skipped at %s:%d: %s\n", file, line, reason);
	[&]() { GTEST_SKIP() << reason; }();
}

extern "C" int qtest_failed(void)
{
	return testing::Test::HasFailure() ? 1 : 0;
}

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);
	for (const Body &b : bodies()) {
		void (*fn)(void) = b.fn;
		testing::RegisterTest(b.suite, b.name, nullptr, nullptr, b.file, b.line,
				      [fn]() -> testing::Test * { return new Case(fn); });
	}
	return RUN_ALL_TESTS();
}
