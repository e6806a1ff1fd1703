#!/usr/bin/perl
# What Mail::SpamAssassin finds with its net rules, over one DNS server: a line
# a message, "path RULE ...". Arguments: the directory of plugin lists, the
# file of rules, the server's port, messages.
use strict;
use warnings;
use Mail::SpamAssassin;

my ($site, $rules, $port, @files) = @ARGV;
my $sa = Mail::SpamAssassin->new({
    rules_filename => $rules, site_rules_filename => $site,
    userprefs_filename => '/dev/null', dont_copy_prefs => 1,
    local_tests_only => 0, home_dir_for_helpers => $site,
    username => 'nobody', debug => $ENV{SA_DEBUG} // 0,
    post_config_text => "use_bayes 0\nuse_learner 0\nuse_razor2 0\nuse_pyzor 0\n" .
        "dns_available yes\nclear_dns_servers\ndns_server [127.0.0.1]:$port\n" .
        "rbl_timeout 3 3\n",
});
$sa->init(1);
for my $file (@files) {
    open(my $in, '<', $file) or die "$file: $!\n";
    binmode $in;
    my $text = do { local $/; <$in> };
    close $in;
    my $mail = $sa->parse($text, 0);
    my $status = $sa->check($mail);
    my %hit = map { $_ => 1 } split(/,/, join(',',
        $status->get_names_of_tests_hit(),
        $status->get_names_of_subtests_hit()));
    print "$file\t", join(' ', sort grep { $_ ne '' } keys %hit), "\n";
    $status->finish();
    $mail->finish();
}
