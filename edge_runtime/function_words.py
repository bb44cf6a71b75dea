"""Words that are in most passages and say little about which one is meant: the word index leaves them out."""

from __future__ import annotations

_FUNCTION_WORDS = {
    "english": (
        "a an the this that these those",
        "i me my mine myself we us our ours ourselves you your yours yourself",
        "he him his himself she her hers herself it its itself they them their theirs themselves",
        "what which who whom whose when where why how",
        "am is are was were be been being have has had having do does did doing",
        "can could may might must shall should will would",
        "about as at by for from in into of on onto to with",
        "and but if or nor so than then there not no",
    ),
    "german": (
        "der die das den dem des ein eine einen einem einer eines",
        "ich mich mir du dich dir er ihn ihm sie ihr ihnen es wir uns euch man sich",
        "was welche welcher welches wer wen wem wann wo warum wie",
        "bin bist ist sind war waren sein habe hat haben hatte wird werden wurde",
        "kann können muss soll will",
        "als am an auf aus bei bis durch für im in mit nach ohne über um von vom vor zu zum zur",
        "und aber wenn oder dass nicht kein keine auch so",
    ),
    "french": (
        "le la les un une des du de d l ce cet cette ces",
        "je j me m tu te t il elle on nous vous ils elles lui leur se s y en",
        "que qu quel quelle quels quelles qui quoi quand où pourquoi comment c",
        "est sont être était a ai as ont avoir avait",
        "à au aux avec chez dans par pour sans sous sur",
        "et mais si ou donc ne n pas plus",
    ),
    "spanish": (
        "el la los las lo un una unos unas este esta estos estas ese esa",
        "yo me mi tú te tu él ella ello nosotros vosotros ellos ellas le les se su sus",
        "qué que cuál cuáles quién cuándo cuando dónde donde cómo como",
        "es son era fue ser está están estar ha han haber hay",
        "a al con de del desde en entre hasta para por sin sobre",
        "y e pero si o u no más",
    ),
    "italian": (
        "il lo la i gli le l un uno una questo questa questi queste",
        "io mi tu ti lui lei egli noi ci voi vi loro si suo sua",
        "che chi quale quali quando dove perché come cosa",
        "è sono era essere ha hanno avere",
        "a al alla ai agli alle con da dal dalla di del della dei degli delle d",
        "in nel nella per su sul sulla tra",
        "e ed ma se o non più",
    ),
    "portuguese": (
        "o a os as um uma uns umas este esta estes estas isto",
        "eu me mim tu te ele ela nós eles elas lhe se seu sua",
        "que qual quais quem quando onde como",
        "é são era foi ser está estão estar há ter tem",
        "à ao aos com da das de do dos em na nas no nos para pela pelo por sem sobre",
        "e mas se ou não mais",
    ),
    "dutch": (
        "de het een deze dit die dat",
        "ik mij me jij je hij hem zij ze haar het wij we ons jullie u zich",
        "wat welke wie wanneer waar waarom hoe",
        "ben is zijn was waren wordt worden heeft hebben had kan",
        "aan als bij door in met naar om op over te tot uit van voor",
        "en maar of niet geen ook dan er",
    ),
}  # fmt: skip

FUNCTION_WORDS = {
    language: frozenset(word for line in lines for word in line.split())
    for language, lines in _FUNCTION_WORDS.items()
}
"""By language; case-folded."""
