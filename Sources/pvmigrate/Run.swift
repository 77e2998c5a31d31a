import ArgumentParser
import Kubernetes
import Migration

/// Everything outside that the command touches.
struct Surroundings: Sendable {
    var environment: [String: String]
    /// Writes results: to stdout.
    var output: @Sendable (String) -> Void
    /// Writes progress and messages: to stderr.
    var errors: @Sendable (String) -> Void
    /// Where `errors` go, if that is one in which lines can be drawn again.
    var terminal: LiveTerminal?
    /// Asks the person at the terminal; nil where there is none.
    var ask: Ask?
    var time: TimeSource = .continuous
    /// What the command was called with, for its report.
    var arguments: [String] = []
    /// What it was called by.
    var name = ProgramName()
    var connect: @Sendable (Configuration) throws -> any Transport
}

/// The whole command.
///
/// - Parameter arguments: without the program's name.
/// - Returns: what the process is to exit with.
func run(_ arguments: [String], in surroundings: Surroundings, interruption: Interruption) async -> ExitCode {
    var surroundings = surroundings
    surroundings.arguments = arguments
    if arguments.first == Completion.hiddenCommand {
        surroundings.output(await Completion(surroundings: surroundings).lines(for: Array(arguments.dropFirst())))
        return .done
    }
    surroundings = surroundings.withoutControls.asTyped
    let subcommand = Subcommands.find(in: arguments)
    do {
        if arguments.first == Description.hiddenCommand {
            surroundings.output(try Description.json().line)
            return .done
        }
        if let (type, arguments) = subcommand {
            let command = try type.parse(try GoSpelling.normalise(arguments))
            return try await command.run(in: surroundings, interruption: interruption)
        }
        if let word = arguments.first, !word.hasPrefix("-") {
            let names = Subcommands.all.map { $0.name }
            throw UsageError("there is no command \"\(word)\"" + names.didYouMean(word))
        }
        let invocation = try Invocation.read(arguments)
        return try await Command(invocation: invocation, surroundings: surroundings, interruption: interruption).run()
    } catch let error as UsageError {
        return usage(error.message, surroundings)
    } catch let error as UnreadableSelector {
        return usage("\(error)", surroundings)
    } catch {
        let type: any ParsableCommand.Type = subcommand?.type ?? MigrateArguments.self
        let message = type.message(for: error)
        // A request for help or the version is an error too, to the argument parser.
        guard type.exitCode(for: error).isSuccess else { return usage(message, surroundings) }
        surroundings.output((message == MigrateArguments.helpMessage() ? Help.text : message) + "\n")
        return .done
    }
}

private func usage(_ message: String, _ surroundings: Surroundings) -> ExitCode {
    let phrase = message.onOneLine
    surroundings.errors("error: \(phrase.hasSuffix(".") ? String(phrase.dropLast()) : phrase); see pvmigrate --help\n")
    return .usage
}
