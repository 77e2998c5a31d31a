/// What `--version` says, and how the API server's log names this program.
let version = "0.1.0"
