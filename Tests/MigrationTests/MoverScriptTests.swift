import Testing

@testable import Migration

@Suite("The scripts of movers")
struct MoverScriptTests {
    @Test("a container gets a script without the lines that only comment")
    func comments() {
        let file = Array("# whole\nif true; then # part\n  # further in\n\n  echo '#'\nfi\n".utf8)
        #expect(MoverScript.text(file) == "if true; then # part\n\n  echo '#'\nfi\n")
        for text in [CopyScript.text, DeviceScript.text] { #expect(!text.contains(#/\n *#/#)) }
    }

    @Test("what stands both in a script and in Swift is the same")
    func names() {
        #expect(CopyScript.text.contains("stamp=/dest/\(CopyScript.stamp)\n"))
        #expect(DeviceScript.text.contains("for program in \(DeviceScript.programs.joined(separator: " ")); do\n"))
    }
}
