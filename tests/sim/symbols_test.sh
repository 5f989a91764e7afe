#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Does the simulator stand behind every function through which the layers meet the world? Looks at what their libraries import.
# Prints one tap-like line. usage: symbols_test.sh BUILD
set -uo pipefail
build=$(cd "${1:-build}" && pwd) || exit 2
cd "$(dirname "$0")/../.."

# What could wait, ask for the time, for chance or for the network, or touch files.
world='^(__)?(pthread_(create|join|detach|mutex|rwlock|cond|barrier|spin|timed|kill|cancel|once)|sem_|mtx_|cnd_|thrd_|socket|accept|bind|connect'
world+='|listen|send|recv|shutdown|get(sock|peer)|setsock|poll|ppoll|select|pselect|epoll|eventfd|timerfd|signalfd|inotify|pipe|fork|vfork'
world+='|exec|posix_spawn|wait|nanosleep|clock_|usleep|sleep|alarm|time$|gettimeofday|ftime|timespec_get|getrandom|getentropy|rand|random|srand'
world+='|drand48|arc4random|syscall|getpid|gettid|open|creat|close|read|write|pread|pwrite|sendfile|splice|copy_file|f?sync|fdatasync|fallocate'
world+='|posix_f|f?truncate|rename|link|unlink|symlink|rmdir|mkdir|mknod|f?l?stat|statx|f?statfs|f?statvfs|chmod|fchmod|chown|fchown|utime|futime|utimens'
world+='|futimens|f?l?(get|set|list|remove)xattr|fopen|fdopen|freopen|opendir|fdopendir|readdir|scandir|nftw|ftw|mkst|mkdtemp|tmpfile|realpath'
world+='|flock|lockf|fcntl|ioctl|mmap|munmap|madvise|mincore|msync|mlock|sched_|getaddrinfo|gethostby|getifaddrs|sigwait|sigtimedwait|pause|getloadavg)'

# Harmless: they do not wait, and what they say is the same in each run.
harmless='pthread_mutex_init pthread_mutex_destroy pthread_cond_init pthread_cond_destroy pthread_condattr_init pthread_condattr_destroy
 pthread_condattr_setclock pthread_once pthread_rwlock_init pthread_rwlock_destroy mmap munmap flock fcntl
 __sched_cpucount access chmod fchmod copy_file_range futimens fstat fstatat opendir closedir readdir readdir64 rmdir truncate scandir __realpath_chk realpath
 getaddrinfo getifaddrs posix_fadvise symlink removexattr fremovexattr listxattr flistxattr random_r'

bad=
while read -r sym; do
    grep -qxF -- "${sym%64}" lib/run/sim/wrap.list || grep -qxF -- "$sym" lib/run/sim/wrap.list && continue
    grep -qw -- "$sym" <<<"$harmless" || bad+=" $sym"
done < <(for lib in base run net codec core store lso xact proxy target; do
    [ -f "$build/libais_$lib.a" ] && nm -u "$build/libais_$lib.a" 2>/dev/null | awk '$1 == "U" { print $2 }'
done | sort -u | comm -23 - <(nm --defined-only "$build"/libais_*.a 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u) | grep -E "$world")
if [ -z "$bad" ]; then
    echo "ok everything that meets the world is simulated"
else
    echo "not ok everything that meets the world is simulated: neither in lib/run/sim/wrap.list nor known to be harmless:$bad"
    exit 1
fi
