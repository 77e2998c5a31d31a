#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What the system writes to a disk when a process crashes.
enum CoreDumps {
    /// Lets a crash write nothing: tokens, and the private keys of copies over the network, are in memory.
    ///
    /// The limit holds for files, the filter for programs that dumps are piped to, which no limit stops (core(5)). Both are
    /// inherited by credential plugins. Where the system refuses, nothing is worse than before.
    static func disable() {
        #if canImport(Glibc)
            let resource = __rlimit_resource_t(RLIMIT_CORE.rawValue)
        #else
            let resource = RLIMIT_CORE
        #endif
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = 0
        setrlimit(resource, &limit)
        let filter = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC)
        guard filter >= 0 else { return }
        Descriptor(filter).write("0\n")
        close(filter)
    }
}
