#!/usr/bin/perl
# What Mail::SpamAssassin finds, offline and without Bayes: a line a message,
# "path score RULE=count ...", sub-rules included. Arguments: the directory of
# plugin lists (*.pre), the directory of rules, a file of further rules,
# messages (none: their paths on stdin). With --mend first FreeMail looks at a
# copy of the text, and not at what body rules read after it, which it changes.
use strict;
use warnings;
use Mail::SpamAssassin;
use Time::HiRes qw(clock);

my $mend = @ARGV && $ARGV[0] eq '--mend' && shift;
my ($site, $rules, $more, @files) = @ARGV;
my $extra = do { local (@ARGV, $/) = ($more); <> };
@files = map { chomp; $_ } <STDIN> unless @files;
my $sa = Mail::SpamAssassin->new({
    rules_filename => $rules, site_rules_filename => $site,
    userprefs_filename => '/dev/null', dont_copy_prefs => 1,
    local_tests_only => 1, home_dir_for_helpers => $site,
    username => 'nobody', debug => $ENV{SA_DEBUG} // 0,
    post_config_text => "use_bayes 0\nuse_learner 0\n$extra",
});
$sa->init(1);
if ($mend) {
    no warnings 'redefine';
    my $parse = \&Mail::SpamAssassin::Plugin::FreeMail::_parse_body;
    *Mail::SpamAssassin::Plugin::FreeMail::_parse_body = sub {
        my ($self, $pms) = @_;
        my $copy = [ @{$pms->get_decoded_stripped_body_text_array()} ];
        local *Mail::SpamAssassin::PerMsgStatus::get_decoded_stripped_body_text_array
            = sub { $copy };
        return $parse->($self, $pms);
    };
}
my $start = clock();
for my $file (@files) {
    open(my $in, '<', $file) or die "$file: $!\n";
    binmode $in;
    my $text = do { local $/; <$in> };
    close $in;
    my $mail = $sa->parse($text, 0);
    my $status = $sa->check($mail);
    my $h = $status->{tests_already_hit};
    my %hit = map { $_ => $h->{$_} // 1 } split(/,/, join(',',
        $status->get_names_of_tests_hit(),
        $status->get_names_of_subtests_hit()));
    printf "%s\t%.3f\t%s\n", $file, $status->get_score(),
        join(' ', map { "$_=$hit{$_}" } sort grep { $_ ne '' } keys %hit);
    $status->finish();
    $mail->finish();
}
printf STDERR "cpu %.3f\n", clock() - $start;
