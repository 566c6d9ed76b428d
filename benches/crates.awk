# Reads the output of `nm --demangle --print-size` for a library; prints the KiB of code for each crate and for C.

# Converts hexadecimal, which awk does not read by itself.
function number(digits,    i, value) {
    for (i = 1; i <= length(digits); i++) value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
    return value
}

NF >= 4 && $3 ~ /^[tTwW]$/ {
    name = substr($0, index($0, $4))
    if (name ~ /^enos_/ && name !~ /^enos_paho_/) crate = "enos"
    else if (name !~ /::/) crate = "Paho, and other C"
    else if (name ~ /(^|[<& ])enos::/) crate = "enos"
    else if (match(name, /[a-z_][a-z_0-9]*::/)) crate = substr(name, RSTART, RLENGTH - 2)
    bytes[crate] += number($2)
}

END {
    for (crate in bytes) {
        # Used by the standard library to symbolise backtraces.
        if (crate ~ /^(gimli|addr2line|miniz_oxide|rustc_demangle|object|adler2)$/) into = "std (backtraces)"
        else if (bytes[crate] < 2048) into = "others"
        else into = crate
        sum[into] += bytes[crate]
    }
    for (crate in sum) printf "%7.1f  %s\n", sum[crate] / 1024, crate
}
