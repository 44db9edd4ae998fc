//! Names of SNMP's numbers.

/// The user-based security model (RFC 3414).
pub(super) const USER_BASED: i64 = 3;

/// RFC 3412 §5, snmpMessageProcessingModel.
pub(super) fn version(version: i64) -> &'static str {
    match version {
        0 => "v1",
        1 => "v2c",
        3 => "v3",
        _ => "",
    }
}

/// IANA SNMP security models (RFC 3411 §5).
pub(super) fn security_model(model: i64) -> &'static str {
    match model {
        1 => "v1",
        2 => "v2c",
        USER_BASED => "user_based",
        4 => "transport",
        _ => "",
    }
}

/// RFC 3416 §3.
pub(super) fn pdu(pdu_type: u8) -> &'static str {
    match pdu_type {
        0 => "get_request",
        1 => "get_next_request",
        2 => "response",
        3 => "set_request",
        4 => "trap_v1",
        5 => "get_bulk_request",
        6 => "inform_request",
        7 => "trap_v2",
        8 => "report",
        _ => "",
    }
}

/// RFC 3416 §3, by the names there.
pub(super) fn error_status(status: i64) -> &'static str {
    const NAMES: [&str; 19] = [
        "noError",
        "tooBig",
        "noSuchName",
        "badValue",
        "readOnly",
        "genErr",
        "noAccess",
        "wrongType",
        "wrongLength",
        "wrongEncoding",
        "wrongValue",
        "noCreation",
        "inconsistentValue",
        "resourceUnavailable",
        "commitFailed",
        "undoFailed",
        "authorizationError",
        "notWritable",
        "inconsistentName",
    ];
    usize::try_from(status).ok().and_then(|status| NAMES.get(status)).unwrap_or(&"")
}

/// RFC 1157 §4.1.6, by the names there.
pub(super) fn generic_trap(trap: i64) -> &'static str {
    match trap {
        0 => "coldStart",
        1 => "warmStart",
        2 => "linkDown",
        3 => "linkUp",
        4 => "authenticationFailure",
        5 => "egpNeighborLoss",
        6 => "enterpriseSpecific",
        _ => "",
    }
}
