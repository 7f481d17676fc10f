import Foundation

/// What a run is asked for: `key=value` arguments, e.g. `model=Documents/net.mlmodelc units=all rounds=20`.
///
/// Arguments without dashes, so that no launcher takes them for its own.
struct Options {
    /// Compiled model: an absolute path, or one inside the app's container.
    var model = ""
    /// `all`, `cpu_and_ne`, `cpu_and_gpu` or `cpu_only`.
    var units = "all"
    /// Warm-up lasts this many seconds and this many predictions, whichever is later.
    var warmUpS = 0.5
    var warmUpRuns = 20
    /// Rounds of back-to-back predictions; the thermal state is read around each.
    var rounds = 20
    var runs = 50
    /// No round begins after this many seconds of rounds, save for the first three.
    var maxS = 60.0
    /// Pause between rounds in seconds.
    var coolDownS = 0.0
    /// Seconds to wait before the warm-up for a device that is hotter than fair.
    var waitCoolS = 120.0
    /// `yes` deletes the model afterwards.
    var delete = false

    init(_ arguments: [String]) throws {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 else { throw Fault("usage", "`\(argument)` is not `key=value`") }
            let (key, value) = (parts[0], parts[1])
            switch key {
            case "model": model = value
            case "units": units = value
            case "warm_up_s": warmUpS = try number(key, value)
            case "warm_up_runs": warmUpRuns = try count(key, value)
            case "rounds": rounds = try count(key, value)
            case "runs": runs = try count(key, value)
            case "max_s": maxS = try number(key, value)
            case "cool_down_s": coolDownS = try number(key, value)
            case "wait_cool_s": waitCoolS = try number(key, value)
            case "delete": delete = value == "yes"
            default: throw Fault("usage", "unknown argument `\(key)`")
            }
        }
        guard !model.isEmpty else { throw Fault("usage", "`model` is missing") }
    }

    /// Where the model was put.
    var place: URL {
        model.hasPrefix("/")
            ? URL(fileURLWithPath: model)
            : URL(fileURLWithPath: NSHomeDirectory()).appendingPathComponent(model)
    }

    /// Where the model is: a copy may have put the folder itself, not its files, into the place.
    var modelURL: URL {
        let inside = place.appendingPathComponent(place.lastPathComponent)
        return FileManager.default.fileExists(atPath: inside.path) ? inside : place
    }
}

private func number(_ key: String, _ value: String) throws -> Double {
    guard let number = Double(value), number.isFinite, number >= 0 else {
        throw Fault("usage", "`\(key)` is `\(value)`, and must be a number of seconds")
    }
    return number
}

private func count(_ key: String, _ value: String) throws -> Int {
    guard let count = Int(value), count > 0 else {
        throw Fault("usage", "`\(key)` is `\(value)`, and must be a positive whole number")
    }
    return count
}
