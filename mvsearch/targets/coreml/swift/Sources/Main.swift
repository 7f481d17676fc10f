import CoreML
import Foundation

/// Measure one model and print a message. Returns the exit code.
func runMeasurement(_ arguments: [String]) -> Int32 {
    do {
        emit(Message(report: try measureModel(Options(arguments))))
        return 0
    } catch let fault as Fault {
        emit(Message(fault: fault))
    } catch {
        emit(Message(fault: Fault("predict", error.localizedDescription)))
    }
    return 1
}

private func measureModel(_ options: Options) throws -> Report {
    defer { if options.delete { try? FileManager.default.removeItem(at: options.place) } }
    guard !isLowPower() else { throw Fault("low-power", "low power mode is on") }
    let (model, loadNs) = try loadModel(options)
    let inputs = try makeInputs(model)
    let predict = {
        do {
            _ = try model.prediction(from: inputs)
        } catch {
            throw Fault("predict", "Core ML does not run the network: \(error.localizedDescription)")
        }
    }
    let waited = try waitUntilCool(options)
    let warm = try warmUp(options, predict)
    let rounds = try measure(options, predict)
    var plan: Plan?
    var planError = ""
    do {
        plan = try readPlan(options)
    } catch {
        planError = (error as? Fault)?.message ?? error.localizedDescription
    }
    return Report(
        device: deviceModel(), os: systemVersion(), osBuild: systemBuild(), units: options.units, lowPower: isLowPower(),
        inputs: features(model.modelDescription.inputDescriptionsByName),
        outputs: features(model.modelDescription.outputDescriptionsByName),
        loadNs: loadNs, waitedNs: waited, warmUpRuns: warm.runs, warmUpNs: warm.ns, rounds: rounds,
        plan: plan, planError: planError)
}

#if os(iOS)
    import SwiftUI
    import UIKit

    /// The app: one line of text, while a thread of its own measures and then ends the app.
    @main
    struct RunnerApp: App {
        var body: some Scene {
            WindowGroup { Text("mvsearch is measuring").onAppear(perform: startOnce) }
        }
    }

    @MainActor private var started = false

    @MainActor private func startOnce() {
        guard !started else { return }
        started = true
        UIApplication.shared.isIdleTimerDisabled = true  // A phone that locks itself stops predicting.
        let thread = Thread { exit(runMeasurement(Array(CommandLine.arguments.dropFirst()))) }
        thread.qualityOfService = .userInteractive
        thread.start()
    }
#else
    /// The same as a command line tool for a Mac.
    @main
    struct RunnerTool {
        static func main() {
            exit(runMeasurement(Array(CommandLine.arguments.dropFirst())))
        }
    }
#endif
