// What the runner uses of Core ML, declared by hand from Apple's documentation, so that a Swift compiler on Linux can
// check the runner's types and run its loop. No claim is made that this behaves as Core ML does.

import Foundation

public enum MLComputeUnits: Int { case cpuOnly, cpuAndGPU, all, cpuAndNeuralEngine }

public final class MLModelConfiguration: @unchecked Sendable {
    public var computeUnits = MLComputeUnits.all
    public init() {}
}

public enum MLMultiArrayDataType: Int {
    case double = 65600, float32 = 65568, float16 = 65552, int32 = 131104, int8 = 131080
}

public final class MLMultiArray {
    public let shape: [NSNumber]
    public let dataType: MLMultiArrayDataType
    private var bytes: [UInt8]

    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {
        self.shape = shape
        self.dataType = dataType
        bytes = [UInt8](repeating: 0, count: shape.reduce(8) { $0 * $1.intValue })
    }

    public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer, [Int]) throws -> R) rethrows -> R {
        try bytes.withUnsafeMutableBytes { try body($0, []) }
    }
}

public final class MLMultiArrayConstraint {
    public let shape: [NSNumber] = [1, 3, 8, 8]
    public let dataType = MLMultiArrayDataType.float16
}

public final class MLFeatureDescription {
    public let multiArrayConstraint: MLMultiArrayConstraint? = MLMultiArrayConstraint()
}

public final class MLModelDescription {
    public let inputDescriptionsByName = ["image": MLFeatureDescription()]
    public let outputDescriptionsByName = ["logits": MLFeatureDescription()]
}

public protocol MLFeatureProvider {}

public final class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
}

/// A folder whose name holds `broken` does not load; one whose name holds `failing` does not predict.
public final class MLModel {
    public let modelDescription = MLModelDescription()
    private let name: String

    public init(contentsOf url: URL, configuration: MLModelConfiguration) throws {
        name = url.lastPathComponent
        if name.contains("broken") { throw CocoaError(.fileReadCorruptFile) }
    }

    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider {
        if name.contains("failing") { throw CocoaError(.featureUnsupported) }
        Thread.sleep(forTimeInterval: 0.001)
        return input
    }
}

public enum MLComputeDevice: Sendable { case cpu, gpu, neuralEngine }

public enum MLModelStructure: Sendable {
    public struct Program: Sendable {
        public struct Operation: Sendable { public let operatorName: String }
        public struct Block: Sendable { public let operations: [Operation] }
        public struct Function: Sendable { public let block: Block }
        public let functions: [String: Function]
    }
    case program(Program)
    case unsupported
}

public final class MLComputePlan: Sendable {
    public struct DeviceUsage { public let preferred: MLComputeDevice }
    public struct Cost { public let weight: Double }

    public static func load(contentsOf url: URL, configuration: MLModelConfiguration) async throws -> MLComputePlan {
        MLComputePlan()
    }

    public var modelStructure: MLModelStructure {
        let operations = ["const", "conv", "conv", "resize"].map { MLModelStructure.Program.Operation(operatorName: $0) }
        return .program(.init(functions: ["main": .init(block: .init(operations: operations))]))
    }

    public func deviceUsage(for operation: MLModelStructure.Program.Operation) -> DeviceUsage? {
        operation.operatorName == "const" ? nil : DeviceUsage(preferred: operation.operatorName == "conv" ? .neuralEngine : .cpu)
    }

    public func estimatedCost(of operation: MLModelStructure.Program.Operation) -> Cost? {
        operation.operatorName == "const" ? nil : Cost(weight: operation.operatorName == "conv" ? 0.45 : 0.1)
    }
}
