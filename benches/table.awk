# Reads measures.tsv, then samples (peer, measure, value). Prints each measure's medians with their spread, and for each
# peer how many times as good libenos is. A line "peers" in measures.tsv has the peers of the measures below it. With
# names, which are those of measures or of programs, it prints only these.

BEGIN {
    FS = "\t"
    only = split(names, list, " ")
    for (n in list) chosen[list[n]]
}

FNR == NR && $1 == "peers" { measures[++rows] = $1; title[$1, rows] = $2; next }
FNR == NR { measures[++rows] = $1; title[$1] = $2; unit[$1] = $3; better[$1] = $4; program[$1] = $5; next }

{ sample[$1, $2, ++count[$1, $2]] = $3 }

function median(who, what,    n, i, j, value) {
    n = count[who, what]
    delete sorted
    for (i = 1; i <= n; i++) {
        value = sample[who, what, i]
        for (j = i; j > 1 && sorted[j - 1] > value; j--) sorted[j] = sorted[j - 1]
        sorted[j] = value
    }
    return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

# Half the difference between the highest and the lowest of the values that median() has sorted last.
function spread(value,    n) {
    n = length(sorted)
    return n < 2 || !value ? "" : sprintf("±%.0f%%", 50 * (sorted[n] - sorted[1]) / value)
}

# sprintf() in some versions of awk counts bytes instead of characters.
function right(text, width,    characters) {
    characters = length(text) - (text ~ /^±/ && length("±") > 1)
    while (characters++ < width) text = " " text
    return text
}

function number(value) {
    return sprintf(value < 100 ? "%.1f" : "%.0f", value)
}

END {
    for (r = 1; r <= rows; r++) {
        what = measures[r]
        if (what == "peers") {
            peers = split(title[what, r], peer, " ")
            is_headed = 0
            continue
        }
        if (!count["enos", what] || only && !(what in chosen) && !(program[what] in chosen)) continue
        if (!is_headed++) {
            printf "%s%-38s %-6s %9s %6s", (tables++ ? "\n" : ""), "", "", "libenos", ""
            for (p = 1; p <= peers; p++) printf " %16s %6s", peer[p], ""
            printf "\n"
        }
        ours = median("enos", what)
        printf "%-38s %-6s %9s %s", title[what], unit[what], number(ours), right(spread(ours), 6)
        for (p = 1; p <= peers; p++) {
            if (!count[peer[p], what]) {
                printf " %16s %6s", "-", ""
                continue
            }
            theirs = median(peer[p], what)
            # Two zeros are as good as each other.
            if (ours == theirs) ratio = 1
            else ratio = better[what] == "more" ? ours / theirs : theirs / ours
            printf " %8s %7s %s", number(theirs), sprintf(ratio < 100 ? "(%.2fx)" : "(%.0fx)", ratio), right(spread(theirs), 6)
        }
        printf "\n"
    }
    print "\n(x): how many times as good libenos is; above 1 it is the faster or smaller one. ±: half the way"
    print "from the lowest round to the highest."
}
