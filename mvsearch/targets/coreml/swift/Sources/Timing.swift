import Dispatch
import Foundation

/// Monotonic nanoseconds.
func nowNs() -> UInt64 {
    DispatchTime.now().uptimeNanoseconds
}

#if !canImport(ObjectiveC)
    func autoreleasepool<T>(invoking body: () throws -> T) rethrows -> T {
        try body()
    }
#endif

/// Wait until the device is no hotter than fair. Returns the nanoseconds that it took.
func waitUntilCool(_ options: Options) throws -> UInt64 {
    let start = nowNs()
    while isHot(thermalState()) {
        guard Double(nowNs() - start) < options.waitCoolS * 1e9 else {
            throw Fault("hot", "the thermal state is still `\(thermalState())` after \(Int(options.waitCoolS)) s")
        }
        Thread.sleep(forTimeInterval: 1)
    }
    return nowNs() - start
}

/// Predict until both the time and the number of runs are reached.
func warmUp(_ options: Options, _ predict: () throws -> Void) throws -> (runs: Int, ns: UInt64) {
    let start = nowNs()
    var runs = 0
    while runs < options.warmUpRuns || Double(nowNs() - start) < options.warmUpS * 1e9 {
        try autoreleasepool { try predict() }
        runs += 1
    }
    return (runs, nowNs() - start)
}

/// The rounds. Ends early when the device becomes hot, whose numbers nobody wants.
func measure(_ options: Options, _ predict: () throws -> Void) throws -> [Round] {
    let start = nowNs()
    var rounds: [Round] = []
    for index in 0..<options.rounds {
        if index >= 3 && Double(nowNs() - start) > options.maxS * 1e9 { break }
        if index > 0 && options.coolDownS > 0 { Thread.sleep(forTimeInterval: options.coolDownS) }
        let before = thermalState()
        var ns: [UInt64] = []
        ns.reserveCapacity(options.runs)
        for _ in 0..<options.runs {
            try autoreleasepool {
                let begin = nowNs()
                try predict()
                ns.append(nowNs() - begin)
            }
        }
        rounds.append(Round(ns: ns, thermalBefore: before, thermalAfter: thermalState()))
        if isHot(rounds[index].thermalAfter) { break }
    }
    return rounds
}
