"""Words for mail that tests make up, of which a filter can tell ham and spam."""
HAM = "meeting patch review kernel lunch budget draft question garden photos".split()
SPAM = "prize winner casino pills discount million urgent exclusive replica miracle".split()
