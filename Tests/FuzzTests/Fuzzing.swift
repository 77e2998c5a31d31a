import Foundation
import Testing

/// What every parser of outside text has to withstand: `check` is called with each input, and must hold.
///
/// A parser gets a few hundred inputs, or as many as the variable `PVMIGRATE_FUZZ` says. For a long run, which says how
/// far it is and which input took longest, build it optimised:
/// `TMPDIR=/dev/shm PVMIGRATE_FUZZ=10000000 swift test -c release -Xswiftc -enable-testing --filter FuzzTests`
func fuzz(_ name: String, _ mutator: Mutator, _ check: (_ input: [UInt8]) async throws -> Void) async throws {
    let wanted = ProcessInfo.processInfo.environment["PVMIGRATE_FUZZ"].map { Int($0) ?? 0 }
    var slowest = (number: 0, time: Duration.zero)
    for number in 0..<(wanted ?? 500) {
        let input = mutator.input(number)
        let start = ContinuousClock.now
        do {
            try await check(input)
        } catch {
            Issue.record(
                "\(name), input \(number): \(error): \(String(reflecting: String(decoding: input, as: UTF8.self)))"
            )
            return
        }
        let time = ContinuousClock.now - start
        if time > slowest.time { slowest = (number, time) }
        if wanted != nil, (number + 1).isMultiple(of: 1_000_000) || number + 1 == wanted {
            print("\(name): \(number + 1) inputs; the slowest was \(slowest.number) with \(slowest.time)")
        }
    }
}

/// What did not hold.
struct Broken: Error, CustomStringConvertible {
    var description: String
}

func hold(_ condition: Bool, _ what: @autoclosure () -> String) throws {
    guard condition else { throw Broken(description: what()) }
}
