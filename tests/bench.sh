#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench.sh FORKRING-BENCH: the benchmark's options, its JSON lines, and what is
# made of them. How fast anything is, it does not ask.
set -u

bench=${1:?forkring-bench}
bench=$(cd "$(dirname "$bench")" && pwd)/${bench##*/}
. "$(dirname "$0")/lib.sh"
LC_ALL=C
export LC_ALL
cd "$dir" || exit 1

# told STATUS PATTERN ARGUMENT...: one line on standard error, and nothing else.
told()
{
	status=$1 pattern=$2
	shift 2
	"$bench" "$@" >out 2>err
	got=$?
	cat out err
	echo "forkring-bench $*: status $got"
	[ "$got" = "$status" ] && [ ! -s out ] && [ "$(wc -l <err)" = 1 ] &&
		grep -E "^forkring-bench: .*$pattern" err
}

wrong_usage_is_one_line_and_status_2()
{
	told 2 'no such option' --fly &&
		told 2 'its value is missing' --json &&
		told 2 'only options are taken' fly &&
		told 2 'workload fly: ' --workload fly &&
		told 2 'no such peer' --peer fly &&
		told 2 'multiple of 8' --size 9 &&
		told 2 'give poll or sleep' --mode fly &&
		told 2 'from 1 to 64' --producers 65 &&
		told 2 'from 1 to 99' --rounds 0 &&
		told 2 'give seconds' --seconds fly
}

a_saved_run_needs_something_to_make_of_it()
{
	told 2 'give --report or --compare' --from fly &&
		told 2 'nothing to write' --from fly --report fly --json fly
}

what_cannot_be_written_is_status_1()
{
	told 1 'cannot write no/file: No such file' --json no/file
}

# ---- a run ----

# Two peers, and nothing that takes two CPUs.
run()
{
	"$bench" --peer forkring --peer pipe --workload fanin --workload rtt \
		--producers 2 --size 64 --mode sleep --rounds 2 --seconds 0.1 \
		"$@"
}

a_run_writes_lines_of_json()
{
	run --json run.json && perl -MJSON::PP -ne '
		my $l = decode_json($_);
		my @order = @{$l}{qw(min median max)};
		$l->{format} == 1 or die "format: $_";
		next if $l->{metric} =~ /^line_/; # the canary
		$l->{outcome} eq "ok" && $l->{rounds} == 2 or die "bad: $_";
		$order[0] >= 0 && $order[0] <= $order[1] &&
			$order[1] <= $order[2] or die "order: $_";
		$l->{$_} // die "no $_: $_" for qw(mode unit cpu kernel commit);
		$n{"$l->{workload} $l->{peer} $l->{metric}"}++;
		END {
			$n{"$_ rate"} == 1 or die "$_\n"
				for "fanin forkring", "fanin pipe";
			$n{"$_ p50"} >= 1 or die "$_\n"
				for "rtt forkring", "rtt pipe";
			$n{"rtt forkring ratio"} >= 1 or die "ratio\n";
		}' run.json
}

# ---- lines that are made up ----

# lines SCALE OF-FORKRING OF-PIPE: a case in which forkring is ahead, one in which
# it is behind, one that a peer does badly; 6 rounds.
lines()
{
	perl -MJSON::PP -e '
		my ($scale, $ours, $pipe) = @ARGV;

		sub line
		{
			my ($case, $peer, $metric, $unit, $m, @more) = @_;
			my @v = map { $m * $scale * (1 + $_ / 100) } 0 .. 5;

			print JSON::PP->new->canonical->encode({
				format => 1, peer => $peer, %$case,
				metric => $metric, unit => $unit,
				median => $m * $scale * 1.025, min => $v[0],
				max => $v[5], values => \@v, rounds => 6,
				outcome => "ok", cpu => "C<P>U", @more }), "\n";
		}

		for my $n (3, 8) {
			my $fanin = { workload => "fanin", producers => $n };

			line($fanin, "forkring", "rate", "msg/s", 3e7 * $ours);
			line($fanin, "pipe", "rate", "msg/s", 5e6 * $pipe);
			line($fanin, "<b>&\"", "rate", "msg/s",
			     $n == 3 ? 2e7 : 140);
		}
		my $rtt = { workload => "rtt", mode => "sleep", size => 8 };

		line($rtt, "forkring", "p50", "ns", 3000 / $ours);
		line($rtt, "pipe", "p50", "ns", 2000 / $pipe);
		line($rtt, "raw", "p50", "ns", 1000);
		line($rtt, "late", "p50", "ns", 9000, outcome => "wedged",
		     median => undef, min => undef, max => undef, values => [],
		     rounds => 0);' "$@"
}

# compared OLD NEW: into `out`, with single blanks.
compared()
{
	"$bench" --from "$2" --compare "$1" >raw 2>err
	got=$?
	tr -s ' ' <raw >out
	cat out err
	[ "$got" = 0 ] && [ ! -s err ]
}

a_run_is_equal_to_itself()
{
	compared run.json run.json &&
		grep -q '^ forkring rate .* 1\.000' out &&
		! grep -E '^ (forkring|pipe) .*(better|worse|differs)' out &&
		! grep -E '^ (forkring|pipe) ' out | grep -v ' 1\.000\| -$' &&
		compared same.json same.json &&
		[ "$(grep -c ' 1\.000 (1\.000 \.\. 1\.000)$' out)" = 9 ] &&
		! grep -E 'better|worse|differs|figures|fewer' out
}

what_was_planted_is_shown()
{
	double='2.000 (2.000 .. 2.000) better'
	half='0.500 (0.500 .. 0.500) better'
	compared same.json twice.json &&
		[ "$(grep -cxF " forkring rate 30.8 M/s 61.5 M/s $double $double" \
			out)" = 2 ] &&
		grep -xF " forkring p50 3.08 us 1.54 us $half $half" out &&
		[ "$(grep -c '^ pipe .* 1\.000 (1\.000 \.\. 1\.000)$' out)" = 3 ]
}

a_slower_machine_is_no_slower_build()
{
	compared same.json slower.json &&
		[ "$(grep -c '^ forkring rate .* 0\.500 (.*) worse 1\.000 (.*)$' \
			out)" = 2 ]
}

what_one_run_lacks_is_counted()
{
	grep -v '"wedged"' same.json | head -n 3 >fewer.json
	compared fewer.json same.json &&
		grep -x 'figures that fewer.json does not have: 7' out &&
		compared same.json fewer.json &&
		grep -x 'figures that only same.json has: 7' out
}

what_is_no_run_is_status_1()
{
	: >empty
	echo hello >junk
	head -c 100 same.json >cut
	sed 's/"format":1/"format":2/' same.json >other
	echo '{"format":1}' >bare
	told 1 'cannot read none: No such file' --compare none &&
		told 1 'cannot read .*directory' --compare . &&
		told 1 'empty holds no results' --compare empty &&
		told 1 'junk:1: no line of results' --compare junk &&
		told 1 'cut:1: no line of results' --from cut --compare same.json &&
		told 1 'other:1: format 2' --compare other &&
		told 1 'bare:1: .*no peer' --compare bare
}

# ---- the page ----

# section FROM TO: that part of the page.
section()
{
	sed -n "/id=\"$1\"/,/id=\"$2\"/p" page/index.html
}

a_page_is_made_of_a_run()
{
	run --json run2.json --report page && cmp run2.json page/results.json &&
		perl -MJSON::PP -e '
		my ($page, @lines) = map { local $/ = $_ ? "\n" : undef;
			open my $f, "<", $ARGV[$_] or die; <$f> } 0, 1;

		$page =~ m{^<!DOCTYPE html>.*</html>\s*\z}s or die "no page";
		$page =~ /(src|href)="(?!#|results.json)/ and die "outside: $&";
		$page =~ /<svg.*<\/svg>/s or die "no picture";
		my %id;
		$id{$1}++ and die "twice: $1" while $page =~ /\bid=["\x27](.*?)["\x27]/g;
		for my $n (1 .. @lines) {
			my $l = decode_json($lines[$n - 1]);
			my $figure = sprintf "%.7g", $l->{median};

			$page =~ />\Q$l->{peer}\E</ or die "no $l->{peer}";
			$page =~ /title="line $n of results.json: \Q$figure\E/
				or die "no line $n: $figure";
			(my $text = $lines[$n - 1]) =~ s/"/&quot;/g;
			chomp $text;
			$page =~ /<li value="$n">\Q$text\E</ or die "raw: $n";
		}' page/index.html run2.json
}

it_tells_who_is_ahead_and_what_went_wrong()
{
	rm -rf page
	"$bench" --from same.json --report page && section ahead bad >ahead &&
		section bad plots >bad && section summary ahead >summary &&
		cat ahead bad summary && grep ' in 2 of 3 cases' summary &&
		grep '>pipe<.*>1\.50 ' ahead && grep '>raw<.*>3\.00 ' ahead &&
		[ "$(grep -c '^<tr><td' ahead)" = 2 ] &&
		grep '>late<.*wedged in round 1' bad &&
		grep '&lt;b&gt;&amp;&quot;<.*8 producers<.*fell to 144 /s from' bad &&
		[ "$(grep -c '^<tr><td' bad)" = 2 ]
}

# That a case was measured twice, or a peer fell in it, makes it no other case.
a_case_is_the_same_however_it_went()
{
	sed '$!s/"rounds":/"repeated":true,"fell_to":7,&/' same.json >twice.json &&
		"$bench" --from twice.json --report twice &&
		sed -n '/id="summary"/,/id="ahead"/p' twice/index.html >again &&
		diff summary again
}

what_is_from_outside_is_only_text()
{
	grep 'C&lt;P&gt;U' page/index.html && ! grep '<b>\|C<P>U' page/index.html
}

where_it_cannot_be_made_is_told()
{
	: >file
	told 1 'cannot make no/page: No such file' \
		--from same.json --report no/page &&
		told 1 'cannot write file/results.json' \
			--from same.json --report file &&
		told 1 'give --json a regular file' \
			--json /dev/null --report page &&
		(PATH=/nowhere && "$bench" --from same.json --report page \
			>out 2>err)
	[ $? = 1 ] && grep 'install gnuplot-nox' err
}

verdict wrong_usage_is_one_line_and_status_2
verdict what_cannot_be_written_is_status_1
verdict a_run_writes_lines_of_json
if "$bench" --from x 2>&1 | grep -q 'without jansson'; then
	skip the_comparison 'built without jansson'
	skip the_page 'built without jansson'
	finish
	exit
fi
lines 1 1 1 >same.json && lines 1 2 1 >twice.json && lines 0.5 1 1 >slower.json
verdict a_saved_run_needs_something_to_make_of_it
verdict a_run_is_equal_to_itself
verdict what_was_planted_is_shown
verdict a_slower_machine_is_no_slower_build
verdict what_one_run_lacks_is_counted
verdict what_is_no_run_is_status_1
if command -v gnuplot >/dev/null; then
	verdict a_page_is_made_of_a_run
	verdict it_tells_who_is_ahead_and_what_went_wrong
	verdict a_case_is_the_same_however_it_went
	verdict what_is_from_outside_is_only_text
	verdict where_it_cannot_be_made_is_told
else
	skip the_page 'gnuplot is not installed'
fi
finish
