#pragma once
// TANDEM_SANITIZED: 1 where addresses or races are watched, which takes ten times as long and brings a heap
// of its own. (Compilers say so in two ways.)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TANDEM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TANDEM_SANITIZED 1
#endif
#endif
#ifndef TANDEM_SANITIZED
#define TANDEM_SANITIZED 0
#endif
