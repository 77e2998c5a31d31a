/// A result with its place. It is a struct, because with tuples the optimiser of Swift 6.3 made programs that trapped.
private struct Numbered<Value: Sendable>: Sendable {
    var number: Int
    var value: Value
}

extension Sequence where Element: Sendable {
    /// Runs work on each element, several at once.
    ///
    /// - Returns: The results, in the elements' order.
    func sideBySide<Result: Sendable>(
        atMost limit: Int = 8,
        _ work: @escaping @Sendable (Element) async -> Result
    ) async -> [Result] {
        await withTaskGroup(of: Numbered<Result>.self) { group in
            var results: [Numbered<Result>] = []
            for (index, element) in enumerated() {
                if index >= limit, let result = await group.next() { results.append(result) }
                group.addTask { Numbered(number: index, value: await work(element)) }
            }
            for await result in group { results.append(result) }
            return results.sorted { $0.number < $1.number }.map(\.value)
        }
    }
}

extension Result where Failure == any Error {
    /// Returns the result or the error of some work as a value.
    static func of(_ work: () async throws -> Success) async -> Self {
        do { return .success(try await work()) } catch { return .failure(error) }
    }
}
