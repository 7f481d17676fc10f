import CoreML
import Foundation

/// Ask Core ML where it would run each operation; needs iOS 17.4 or macOS 14.4.
func readPlan(_ options: Options) throws -> Plan {
    guard #available(iOS 17.4, macOS 14.4, *) else {
        throw Fault("usage", "the compute plan needs iOS 17.4 or macOS 14.4")
    }
    let configuration = MLModelConfiguration()
    configuration.computeUnits = try computeUnits(options.units)
    let url = options.modelURL
    let box = Box()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
        do {
            let plan = try await MLComputePlan.load(contentsOf: url, configuration: configuration)
            box.result = .success(try summary(plan))
        } catch {
            box.result = .failure(error)
        }
        done.signal()
    }
    done.wait()
    return try box.result!.get()
}

/// Written by the task before the signal, read after it.
private final class Box: @unchecked Sendable {
    var result: Result<Plan, Error>?
}

@available(iOS 17.4, macOS 14.4, *)
private func summary(_ plan: MLComputePlan) throws -> Plan {
    guard case .program(let program) = plan.modelStructure, let main = program.functions["main"] else {
        throw Fault("usage", "the network is no ML program")
    }
    var operations: [String: Int] = [:]
    var cost: [String: Double] = [:]
    // Constants have no device.
    for operation in main.block.operations {
        guard let usage = plan.deviceUsage(for: operation) else { continue }
        let unit = unitName(usage.preferred)
        operations["\(operation.operatorName) on \(unit)", default: 0] += 1
        if let weight = plan.estimatedCost(of: operation)?.weight { cost[unit, default: 0] += weight }
    }
    return Plan(operations: operations, cost: cost)
}

@available(iOS 17.4, macOS 14.4, *)
private func unitName(_ device: MLComputeDevice) -> String {
    switch device {
    case .cpu: return "cpu"
    case .gpu: return "gpu"
    case .neuralEngine: return "ane"
    @unknown default: return "unknown"
    }
}
