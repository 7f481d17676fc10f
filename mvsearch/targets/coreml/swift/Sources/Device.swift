import Foundation

/// `nominal`, `fair`, `serious`, `critical` or `unknown`.
func thermalState() -> String {
    #if canImport(Darwin)
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: return "nominal"
        case .fair: return "fair"
        case .serious: return "serious"
        case .critical: return "critical"
        @unknown default: return "unknown"
        }
    #else
        return "unknown"
    #endif
}

func isHot(_ state: String) -> Bool {
    state == "serious" || state == "critical"
}

func isLowPower() -> Bool {
    #if canImport(Darwin)
        return ProcessInfo.processInfo.isLowPowerModeEnabled
    #else
        return false
    #endif
}

/// Model identifier, e.g. `iPhone13,2`.
func deviceModel() -> String {
    #if os(iOS)
        return systemValue("hw.machine")
    #else
        return systemValue("hw.model")
    #endif
}

/// Build of the system, e.g. `21G93`.
func systemBuild() -> String {
    systemValue("kern.osversion")
}

/// Version of the system, e.g. `17.6.1`.
func systemVersion() -> String {
    let v = ProcessInfo.processInfo.operatingSystemVersion
    return v.patchVersion == 0 ? "\(v.majorVersion).\(v.minorVersion)" : "\(v.majorVersion).\(v.minorVersion).\(v.patchVersion)"
}

private func systemValue(_ name: String) -> String {
    #if canImport(Darwin)
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0, size > 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return "" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    #else
        return "\(name) of no Apple system"
    #endif
}
