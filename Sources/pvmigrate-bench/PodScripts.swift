/// What the benchmark's pods do, in Python.
enum PodScripts {
    /// Fills each volume below /data the first time, and then demands that every file is as it was.
    ///
    /// Arguments: how many files, how many bytes each has, and how many a file has besides that is one hole.
    static let files = """
        import glob, os, sys, zlib
        files, size, apparent = map(int, sys.argv[1:])
        for volume in glob.glob("/data/*"):
            sums = []
            for number in range(files):
                folder = f"{volume}/files/{number // 100}"
                path = f"{folder}/{number}"
                if not os.path.exists(f"{volume}/sums"):
                    os.makedirs(folder, exist_ok=True)
                    open(path, "wb").write(os.urandom(size))
                sums.append(zlib.crc32(open(path, "rb").read()))
            text = " ".join(map(str, sums))
            if apparent:
                with open(f"{volume}/hole", "ab") as hole:
                    if not os.path.exists(f"{volume}/sums"):
                        hole.truncate(apparent)
                if os.path.getsize(f"{volume}/hole") != apparent:
                    sys.exit(f"the hole of {volume} is not as large as it was")
            if not os.path.exists(f"{volume}/sums"):
                open(f"{volume}/sums", "w").write(text)
            if open(f"{volume}/sums").read() != text:
                sys.exit(f"a file of {volume} is not as it was")
        """

    /// Writes to one volume until it is asked to stop, some 900 times a second: rows of a SQLite database, each with the
    /// hash of all before it, one of them changed in place, and a line of a log for each row. Looks at its start whether the
    /// chain is whole. Says how long it found the chain, and how long it is after each row.
    static let writer = """
        import glob, hashlib, itertools, os, random, signal, sqlite3, sys, time
        os.chdir(glob.glob("/data/*")[0])
        stops = []
        signal.signal(signal.SIGTERM, lambda *_: stops.append(True))
        database = sqlite3.connect("chain.db")
        database.execute("create table if not exists chain (number integer primary key, page blob, hash text, changes integer)")
        log = open("chain.log", "a+")
        log.seek(0)
        number, hash = 0, ""

        def following(hash, page):
            return hashlib.sha256(hash.encode() + page).hexdigest()

        rows = database.execute("select number, page, hash from chain order by number")
        for row, line in itertools.zip_longest(rows, log):
            number += 1
            hash = following(hash, row[1]) if row else None
            if row is None or (row[0], row[2]) != (number, hash) or line != f"{number} {hash}\\n":
                sys.exit(f"the chain is broken at {number}")
        if database.execute("pragma integrity_check").fetchone() != ("ok",):
            sys.exit("the database is damaged")
        print("found", number, flush=True)
        while not stops:
            number += 1
            page = os.urandom(1000)
            hash = following(hash, page)
            with database:
                database.execute("insert into chain values (?, ?, ?, 0)", (number, page, hash))
                database.execute("update chain set changes = changes + 1 where number = ?", (random.randint(1, number),))
            log.write(f"{number} {hash}\\n")
            log.flush()
            print("wrote", number, flush=True)
            # What a disk takes to commit, and memory does not: else it would leave no processor to anybody.
            time.sleep(0.001)
        database.close()
        """
}
