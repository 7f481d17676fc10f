import CoreML
import Foundation

/// The compute units of this name.
func computeUnits(_ name: String) throws -> MLComputeUnits {
    switch name {
    case "all": return .all
    case "cpu_and_ne": return .cpuAndNeuralEngine
    case "cpu_and_gpu": return .cpuAndGPU
    case "cpu_only": return .cpuOnly
    default: throw Fault("usage", "unknown compute units `\(name)`")
    }
}

/// Load the compiled model. Returns it with the nanoseconds that it took; the first time on a device it is specialised.
func loadModel(_ options: Options) throws -> (model: MLModel, ns: UInt64) {
    let configuration = MLModelConfiguration()
    configuration.computeUnits = try computeUnits(options.units)
    guard FileManager.default.fileExists(atPath: options.modelURL.path) else {
        throw Fault("load", "there is no `\(options.model)`")
    }
    let start = nowNs()
    do {
        let model = try MLModel(contentsOf: options.modelURL, configuration: configuration)
        return (model, nowNs() - start)
    } catch {
        throw Fault("load", "Core ML does not load the network: \(error.localizedDescription)")
    }
}

/// Names, types and shapes of inputs or outputs, by name.
func features(_ descriptions: [String: MLFeatureDescription]) -> [Feature] {
    descriptions.keys.sorted().map { name in
        let constraint = descriptions[name]!.multiArrayConstraint
        return Feature(
            name: name, type: constraint.map { typeName($0.dataType) } ?? "no array",
            shape: constraint?.shape.map { $0.intValue } ?? [])
    }
}

private func typeName(_ type: MLMultiArrayDataType) -> String {
    switch type {
    case .float16: return "float16"
    case .float32: return "float32"
    case .double: return "float64"
    case .int32: return "int32"
    default: return "type \(type.rawValue)"
    }
}

/// The same pseudo-random arrays in every run: values in [0.5, 1), where no number is denormal.
func makeInputs(_ model: MLModel) throws -> MLFeatureProvider {
    var values: [String: Any] = [:]
    for (name, description) in model.modelDescription.inputDescriptionsByName {
        guard let constraint = description.multiArrayConstraint else {
            throw Fault("input", "input `\(name)` is no array; convert the network with array inputs")
        }
        do {
            let array = try MLMultiArray(shape: constraint.shape, dataType: constraint.dataType)
            try fill(array, name)
            values[name] = array
        } catch let fault as Fault {
            throw fault
        } catch {
            throw Fault("input", "input `\(name)` cannot be made: \(error.localizedDescription)")
        }
    }
    do {
        return try MLDictionaryFeatureProvider(dictionary: values)
    } catch {
        throw Fault("input", error.localizedDescription)
    }
}

private func fill(_ array: MLMultiArray, _ name: String) throws {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    func tenBits() -> UInt16 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt16(state >> 54)
    }
    let type = array.dataType
    try array.withUnsafeMutableBytes { bytes, _ in
        switch type {
        // Bits, since Swift has no Float16 on Intel Macs: exponent of [0.5, 1), ten bits of fraction.
        case .float16: for i in bytes.bindMemory(to: UInt16.self).indices { bytes.bindMemory(to: UInt16.self)[i] = 0x3800 | tenBits() }
        case .float32: for i in bytes.bindMemory(to: Float.self).indices { bytes.bindMemory(to: Float.self)[i] = 0.5 + Float(tenBits()) / 2048 }
        case .double: for i in bytes.bindMemory(to: Double.self).indices { bytes.bindMemory(to: Double.self)[i] = 0.5 + Double(tenBits()) / 2048 }
        default: throw Fault("input", "input `\(name)` is of \(typeName(type)), which is not filled")
        }
    }
}
