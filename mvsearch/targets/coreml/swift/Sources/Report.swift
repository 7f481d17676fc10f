import Foundation

/// Number of the report's format; the program that reads it knows the same.
let schema = 1

/// What went wrong: `usage`, `load`, `input`, `predict`, `hot`, `low-power`.
struct Fault: Error, Encodable {
    let kind: String
    let message: String

    init(_ kind: String, _ message: String) {
        self.kind = kind
        self.message = message
    }
}

/// Back-to-back predictions, in nanoseconds each.
struct Round: Encodable {
    let ns: [UInt64]
    let thermalBefore: String
    let thermalAfter: String

    enum CodingKeys: String, CodingKey {
        case ns = "ns"
        case thermalBefore = "thermal_before"
        case thermalAfter = "thermal_after"
    }
}

/// An input or an output of the model.
struct Feature: Encodable {
    let name: String
    let type: String
    let shape: [Int]

    enum CodingKeys: String, CodingKey {
        case name = "name"
        case type = "type"
        case shape = "shape"
    }
}

/// Where Core ML says that it will run the operations, constants left out.
struct Plan: Encodable {
    /// Operations by `kind on unit`, e.g. `conv on ane`: how many.
    let operations: [String: Int]
    /// Estimated cost by unit, in shares of the whole; empty if it does not say.
    let cost: [String: Double]

    enum CodingKeys: String, CodingKey {
        case operations = "operations"
        case cost = "cost"
    }
}

/// A measurement with what is needed to compare or distrust it.
struct Report: Encodable {
    let device: String
    let os: String
    let osBuild: String
    let units: String
    let lowPower: Bool
    let inputs: [Feature]
    let outputs: [Feature]
    let loadNs: UInt64
    let waitedNs: UInt64
    let warmUpRuns: Int
    let warmUpNs: UInt64
    let rounds: [Round]
    let plan: Plan?
    let planError: String

    enum CodingKeys: String, CodingKey {
        case device = "device"
        case os = "os"
        case osBuild = "os_build"
        case units = "units"
        case lowPower = "low_power"
        case inputs = "inputs"
        case outputs = "outputs"
        case loadNs = "load_ns"
        case waitedNs = "waited_ns"
        case warmUpRuns = "warm_up_runs"
        case warmUpNs = "warm_up_ns"
        case rounds = "rounds"
        case plan = "plan"
        case planError = "plan_error"
    }
}

/// The one line that is printed: a report or a fault.
struct Message: Encodable {
    var report: Report?
    var fault: Fault?

    enum CodingKeys: String, CodingKey {
        case schema = "schema"
        case report = "report"
        case fault = "fault"
    }

    func encode(to encoder: Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(schema, forKey: .schema)
        try container.encodeIfPresent(report, forKey: .report)
        try container.encodeIfPresent(fault, forKey: .fault)
    }
}

/// Print a message between two markers; the first says how many bytes follow, so that a cut line is noticed.
func emit(_ message: Message) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data: Data
    do {
        data = try encoder.encode(message)
    } catch {
        data = Data("{\"schema\":\(schema),\"fault\":{\"kind\":\"usage\",\"message\":\"the report cannot be written\"}}".utf8)
    }
    // A line of its own, whatever was printed before.
    print("\nmvsearch-runner-begin \(schema) \(data.count)")
    print(String(decoding: data, as: UTF8.self))
    print("mvsearch-runner-end")
    fflush(stdout)
}
